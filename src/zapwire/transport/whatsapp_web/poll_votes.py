"""Votes in polls, which are encrypted with the poll's key: the engine keeps that for each poll it has seen.

Source: whatsmeow's msgsecret.go (`DecryptPollVote`, `BuildPollVote`).
"""

from __future__ import annotations

from typing import Final

from zapwire.model.content.interactive import PollVoteContent
from zapwire.model.errors import Refused, TransportError
from zapwire.model.messages import Outgoing
from zapwire.transport.whatsapp_web.addresses import jid_message
from zapwire.transport.whatsapp_web.content.build import MOST
from zapwire.transport.whatsapp_web.content.changes import target_of
from zapwire.transport.whatsapp_web.engine.exports import EmptyResult
from zapwire.transport.whatsapp_web.engine.library import Library
from zapwire.transport.whatsapp_web.engine.protos import neonize
from zapwire.transport.whatsapp_web.session import EngineSession

DEADLINE: Final = 5.0
"""Seconds; the engine needs a look into its database."""
_HASH: Final = 32


async def decrypt(session: EngineSession, library: Library, event: bytes) -> tuple[bytes, ...] | None:
    """The hashes of the options that the vote in *event*, a serialized `Neonize.Message`, is for.

    None where that cannot be told: the poll was not seen here, or somebody forged the vote.
    """
    try:
        raw = await session.look_up(library.decrypt_poll_vote, event, within=DEADLINE)
    except (TransportError, TimeoutError):
        return None
    answer = neonize.ReturnFunctionWithError.FromString(raw)
    if answer.Error or not answer.HasField("PollVoteMessage"):
        return None
    return tuple(bytes(one) for one in answer.PollVoteMessage.selectedOptions[:MOST] if len(one) == _HASH)


async def build(
    session: EngineSession, library: Library, message: Outgoing, content: PollVoteContent, own: str
) -> bytes:
    """The serialized `waE2E.Message` of a vote, from the account *own* (a JID).

    Raises `Refused` when the engine knows no key of the poll, `TransportError`, TimeoutError.
    """
    poll = target_of(message)
    source = neonize.MessageSource(IsFromMe=poll.from_me, IsGroup=message.in_group)
    # the key of a vote is made of the addresses that WhatsApp's apps use: LIDs, where there are any
    sender = own if poll.sender is None else poll.sender.lid or poll.sender.jid
    chat = message.to if message.in_group or poll.sender is None else sender
    for place, jid in ((source.Chat, chat), (source.Sender, sender)):
        user, _, server = jid.partition("@")
        place.CopyFrom(jid_message(user, server))
    for place in (source.SenderAlt, source.RecipientAlt, source.BroadcastListOwner):
        place.CopyFrom(jid_message("", ""))
    info = neonize.MessageInfo(
        MessageSource=source, ID=poll.whatsapp_id, ServerID=0, Type="", Pushname="",
        Timestamp=int(poll.sent_at.timestamp() * 1000), Category="", Multicast=False, MediaType="", Edit="",
    )  # fmt: skip
    options = neonize.ArrayString(data=content.options or ()).SerializeToString()
    try:
        raw = await session.look_up(library.build_poll_vote, info.SerializeToString(), options, within=DEADLINE)
    except EmptyResult as error:
        raise TransportError(error.detail) from None
    answer = neonize.BuildPollVoteReturnFunction.FromString(raw)
    if answer.Error or not answer.HasField("PollVote"):
        raise Refused("the poll's key is not known here: it was sent before this device was linked", field="message_id")
    data: bytes = answer.PollVote.SerializeToString()
    return data
