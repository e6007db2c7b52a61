"""What a virtual phone can do with groups.

Protocol source: whatsmeow's group.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from zapwire.sandbox.phones.errors import BadRequest, NotOnWhatsApp
from zapwire.sandbox.phones.line import Line
from zapwire.sandbox.server.state.accounts import digits_of
from zapwire.wire.node import Attr, Node, WireJid

GROUPS: Final = WireJid("", "g.us")
NAMESPACE: Final = "w:g2"
MEMBER_CHANGES: Final = frozenset({"add", "remove", "promote", "demote"})


class GroupActions:
    """One phone's groups; every call raises PhoneError when the server refuses."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def _members(self, numbers: Iterable[str]) -> list[Node]:
        nodes = []
        for number in numbers:
            account = self._line.network.account_of(WireJid(digits_of(number), "s.whatsapp.net"))
            if account is None:
                raise NotOnWhatsApp(f"{number} is not on WhatsApp")
            attrs: dict[str, Attr] = {"jid": account.lid_jid, "phone_number": account.phone_jid}
            nodes.append(Node("participant", attrs))
        return nodes

    async def create(self, subject: str, members: Iterable[str]) -> dict[str, Any]:
        """A new group with these phone numbers; returns it."""
        create = Node("create", {"subject": subject}, self._members(members))
        answer = await self._line.ask(NAMESPACE, "set", create, to=GROUPS)
        return self._read(answer.child("group") or Node("group"))

    async def info(self, group: WireJid) -> dict[str, Any]:
        """Subject, members and who is admin."""
        answer = await self._line.ask(NAMESPACE, "get", Node("query", {"request": "interactive"}), to=group)
        return self._read(answer.child("group") or Node("group"))

    async def joined(self) -> list[dict[str, Any]]:
        """All groups that this phone is in."""
        query = Node("participating", content=[Node("participants"), Node("description")])
        answer = await self._line.ask(NAMESPACE, "get", query, to=GROUPS)
        groups = answer.child("groups") or Node("groups")
        return [self._read(group) for group in groups.all("group")]

    async def change_members(self, group: WireJid, change: str, numbers: Iterable[str]) -> None:
        """`add`, `remove`, `promote` or `demote` members."""
        if change not in MEMBER_CHANGES:
            raise BadRequest(f"members can be changed by {', '.join(sorted(MEMBER_CHANGES))}")
        await self._line.ask(NAMESPACE, "set", Node(change, content=self._members(numbers)), to=group)

    async def set_subject(self, group: WireJid, subject: str) -> None:
        """Rename the group."""
        await self._line.ask(NAMESPACE, "set", Node("subject", content=subject.encode()), to=group)

    async def leave(self, group: WireJid) -> None:
        """Leave the group."""
        leave = Node("leave", content=[Node("group", {"id": group})])
        await self._line.ask(NAMESPACE, "set", leave, to=GROUPS)

    async def invite_code(self, group: WireJid) -> str:
        """The code of the group's invite link."""
        answer = await self._line.ask(NAMESPACE, "get", Node("invite"), to=group)
        return (answer.child("invite") or Node("invite")).text("code")

    async def join(self, code: str) -> str:
        """Join by invite link or its code; returns the group's address."""
        invite = Node("invite", {"code": code.rpartition("/")[2]})
        answer = await self._line.ask(NAMESPACE, "set", invite, to=GROUPS)
        return str((answer.child("group") or Node("group")).attrs.get("jid", ""))

    def _read(self, group: Node) -> dict[str, Any]:
        number = group.text("id")
        members = [(node, jid) for node in group.all("participant") if (jid := node.jid("jid"))]
        return {
            "group": number if "@" in number else f"{number}@g.us",
            "subject": group.text("subject"),
            "members": [self._line.number(jid) for _, jid in members],
            "admins": [self._line.number(jid) for node, jid in members if node.text("type")],
        }
