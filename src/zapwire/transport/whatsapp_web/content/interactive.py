"""Polls, and what people choose. Source: WAWebProtobufsE2E.proto, `PollCreationMessage` and others"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from zapwire.model.content.interactive import PollContent, PollVoteContent, ReplyContent
from zapwire.model.content.kinds import AnyContent
from zapwire.transport.whatsapp_web.content.build import MOST, build


def _poll(value: Any) -> PollContent:
    options = [option.optionName for option in value.options[:MOST]]
    return build(PollContent, question=value.name, options=options, selectable=value.selectableOptionsCount)


def _poll_vote(value: Any) -> PollVoteContent:
    return build(PollVoteContent, message_id=value.pollCreationMessageKey.ID)


def _button(value: Any) -> ReplyContent:
    return build(ReplyContent, id=value.selectedButtonID, text=value.selectedDisplayText)


def _list_row(value: Any) -> ReplyContent:
    return build(ReplyContent, id=value.singleSelectReply.selectedRowID, text=value.title)


def _template_button(value: Any) -> ReplyContent:
    return build(ReplyContent, id=value.selectedID, text=value.selectedDisplayText)


DECODERS: Final[dict[str, Callable[[Any], AnyContent]]] = {
    "pollCreationMessage": _poll,
    "pollCreationMessageV2": _poll,
    "pollCreationMessageV3": _poll,
    "pollUpdateMessage": _poll_vote,
    "buttonsResponseMessage": _button,
    "listResponseMessage": _list_row,
    "templateButtonReplyMessage": _template_button,
}
