"""Polls, lists and buttons, and what people choose. Source: WAWebProtobufsE2E.proto, `PollCreationMessage`, ..."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any, Final

from zapwire.model.content.interactive import (
    Button,
    ButtonsContent,
    ListContent,
    ListRow,
    ListSection,
    PollContent,
    PollVoteContent,
    ReplyContent,
)
from zapwire.model.content.kinds import AnyContent
from zapwire.transport.whatsapp_web.content.build import MOST, build
from zapwire.transport.whatsapp_web.engine.protos import e2e

SECRET: Final = 32
"""Bytes of the key with which votes are encrypted."""
_LONGEST_PARAMETERS: Final = 64 * 1024


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


def _native_flow_reply(value: Any) -> ReplyContent:
    """Of buttons of the newer kind: the id is in a JSON object."""
    parameters = _object(value.nativeFlowResponseMessage.paramsJSON)
    chosen = parameters.get("id") or parameters.get("selectedRowId") or ""
    return build(ReplyContent, id=chosen if isinstance(chosen, str) else "", text=value.body.text)


def _list(value: Any) -> ListContent:
    names = {"title": value.title, "footer": value.footerText, "button": value.buttonText}
    return build(ListContent, text=value.description, **names, sections=list(map(_section, value.sections[:MOST])))


def _section(value: Any) -> ListSection:
    rows = [build(ListRow, id=row.rowID, title=row.title, description=row.description) for row in value.rows[:MOST]]
    return build(ListSection, title=value.title, rows=rows)


def _buttons(value: Any) -> ButtonsContent:
    buttons = [build(Button, title=one.buttonText.displayText, id=one.buttonID) for one in value.buttons[:MOST]]
    return build(ButtonsContent, text=value.contentText, title=value.text, footer=value.footerText, buttons=buttons)


def _interactive(value: Any) -> ButtonsContent | ListContent:
    """Buttons of the newer kind: a list is one of them, with its rows in JSON."""
    names = {"title": value.header.title, "footer": value.footer.text}
    flow = [(one.name, _object(one.buttonParamsJSON)) for one in value.nativeFlowMessage.buttons[:MOST]]
    for name, parameters in flow:
        if name == "single_select":
            sections = [_flow_section(one) for one in _objects(parameters.get("sections"))]
            shown = {"button": _word(parameters, "title"), "sections": sections}
            return build(ListContent, text=value.body.text, **names, **shown)
    buttons = [_flow_button(parameters) for _, parameters in flow]
    return build(ButtonsContent, text=value.body.text, **names, buttons=buttons)


def _flow_section(section: dict[str, Any]) -> ListSection:
    rows = [
        build(ListRow, id=_word(row, "id"), title=_word(row, "title"), description=_word(row, "description"))
        for row in _objects(section.get("rows"))
    ]
    return build(ListSection, title=_word(section, "title"), rows=rows)


def _flow_button(parameters: dict[str, Any]) -> Button:
    where = {"url": _word(parameters, "url"), "phone": _word(parameters, "phone_number")}
    return build(Button, title=_word(parameters, "display_text"), id=_word(parameters, "id"), **where)


def _object(text: str | bytes) -> dict[str, Any]:
    """The object in JSON that a stranger wrote; empty when it is none."""
    if len(text) > _LONGEST_PARAMETERS:
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value[:MOST] if isinstance(one, dict)] if isinstance(value, list) else []


def _word(fields: dict[str, Any], name: str) -> str:
    found = fields.get(name)
    return found if isinstance(found, str) else ""


def _template(value: Any) -> ButtonsContent:
    """A message with buttons as the official API sends them."""
    template = value.hydratedTemplate if value.HasField("hydratedTemplate") else value.hydratedFourRowTemplate
    buttons = [_template_part(one) for one in template.hydratedButtons[:MOST]]
    names = {"title": template.hydratedTitleText, "footer": template.hydratedFooterText}
    return build(ButtonsContent, text=template.hydratedContentText, **names, buttons=buttons)


def _template_part(value: Any) -> Button:
    quick, url, call = value.quickReplyButton, value.urlButton, value.callButton
    title = quick.displayText or url.displayText or call.displayText
    return build(Button, title=title, id=quick.ID, url=url.URL, phone=call.phoneNumber)


DECODERS: Final[dict[str, Callable[[Any], AnyContent]]] = {
    "pollCreationMessage": _poll,
    "pollCreationMessageV2": _poll,
    "pollCreationMessageV3": _poll,
    "pollCreationMessageV5": _poll,
    "pollCreationMessageV6": _poll,
    "pollUpdateMessage": _poll_vote,
    "buttonsResponseMessage": _button,
    "listResponseMessage": _list_row,
    "templateButtonReplyMessage": _template_button,
    "interactiveResponseMessage": _native_flow_reply,
    "listMessage": _list,
    "buttonsMessage": _buttons,
    "interactiveMessage": _interactive,
    "templateMessage": _template,
}


def new_secret() -> bytes:
    """The key of a new message to which people answer encrypted; the engine keeps it."""
    return secrets.token_bytes(SECRET)


def encode_poll(content: PollContent) -> Any:
    """The `waE2E.Message` of a poll: the first version, the only one whose stanza the engine marks as a poll."""
    made = e2e.PollCreationMessage(name=content.question, selectableOptionsCount=content.selectable)
    for option in content.options:
        made.options.add(optionName=option)
    found = e2e.Message(pollCreationMessage=made)
    found.messageContextInfo.messageSecret = new_secret()
    return found
