"""Groups: who is in them, who may do what, and how they are written in stanzas."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from zapwire.sandbox.server.replies import QueryError
from zapwire.sandbox.server.state.accounts import Picture
from zapwire.wire.node import Attr, Node, WireJid

if TYPE_CHECKING:
    from zapwire.sandbox.server.state.accounts import Account, Directory

GROUP_SERVER: Final = "g.us"
MAX_MEMBERS: Final = 1024
MAX_SUBJECT: Final = 100
MAX_DESCRIPTION: Final = 2048

MEMBER: Final = ""
ADMIN: Final = "admin"
OWNER: Final = "superadmin"


@dataclass(slots=True)
class Description:
    """A group's description; clients name the one they replace by its id."""

    number: str
    text: str
    author: str
    time: int


@dataclass(slots=True)
class Group:
    """One group. People are written by the user part of their LID."""

    number: str
    subject: str
    creator: str
    creation: int
    members: dict[str, str] = field(default_factory=dict)
    """LID to role: "", "admin" or "superadmin"."""
    subject_time: int = 0
    subject_by: str = ""
    description: Description | None = None
    announce: bool = False
    locked: bool = False
    approval: bool = False
    ephemeral: int = 0
    add_mode: str = "all_member_add"
    invite: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    picture: Picture | None = None

    @property
    def jid(self) -> WireJid:
        """The group's address."""
        return WireJid(self.number, GROUP_SERVER)

    def require_member(self, lid: str) -> None:
        """Raises QueryError 403 for somebody who is not in the group."""
        if lid not in self.members:
            raise QueryError(403, "forbidden")

    def require_admin(self, lid: str) -> None:
        """Raises QueryError 403 for somebody who is not an admin."""
        if self.members.get(lid) not in {ADMIN, OWNER}:
            raise QueryError(403, "forbidden")

    def require_admin_for_info(self, lid: str) -> None:
        """Raises QueryError 403 for somebody who may not change subject, description or picture."""
        self.require_member(lid)
        if self.locked:
            self.require_admin(lid)

    def require_adder(self, lid: str) -> None:
        """Raises QueryError 403 for somebody who may not add people."""
        self.require_member(lid)
        if self.add_mode == "admin_add":
            self.require_admin(lid)

    def node(self, directory: Directory) -> Node:
        """The group as `<group>`, with everybody in it."""
        attrs: dict[str, Attr] = {
            "id": self.number,
            "addressing_mode": "lid",
            "subject": self.subject,
            "creation": str(self.creation),
            "s_t": str(self.subject_time or self.creation),
            "size": str(len(self.members)),
            "p_v_id": str(self.creation),
            "a_v_id": "1",
            **_person(directory, self.creator, "creator"),
            **_person(directory, self.subject_by or self.creator, "s_o"),
        }
        people = [participant(directory, lid, type=role) for lid, role in self.members.items()]
        return Node("group", attrs, [*people, *self._settings(directory)])

    def _settings(self, directory: Directory) -> list[Node]:
        settings = [Node("member_add_mode", {}, self.add_mode.encode())]
        if self.description is not None:
            about = self.description
            attrs = {"id": about.number, "t": str(about.time), **_person(directory, about.author, "participant")}
            settings.append(Node("description", {**attrs}, [Node("body", {}, about.text.encode())]))
        for on, tag in ((self.announce, "announcement"), (self.locked, "locked")):
            settings += [Node(tag)] if on else []
        if self.ephemeral:
            settings.append(Node("ephemeral", {"expiration": str(self.ephemeral)}))
        if self.approval:
            join = Node("group_join", {"state": "on"})
            settings.append(Node("membership_approval_mode", {}, [join]))
        return settings


def participant(directory: Directory, lid: str, **attrs: Attr) -> Node:
    """A person as `<participant>`: LID and phone number."""
    account = directory.by_lid(lid)
    if account is None:
        return Node("participant", {"jid": WireJid(lid, "lid"), **attrs})
    return Node("participant", {"jid": account.lid_jid, "phone_number": account.phone_jid, **attrs})


def _person(directory: Directory, lid: str, name: str) -> dict[str, Attr]:
    account = directory.by_lid(lid)
    return {name: account.lid_jid, f"{name}_pn": account.phone_jid} if account else {}


class Groups:
    """All groups."""

    def __init__(self) -> None:
        self._groups: dict[str, Group] = {}

    def __iter__(self) -> Iterator[Group]:
        return iter(list(self._groups.values()))

    def add(self, group: Group) -> None:
        """Take in a group that was saved."""
        self._groups[group.number] = group

    def create(self, subject: str, creator: Account) -> Group:
        """A new group with its creator as owner."""
        now = int(time.time())
        group = Group(f"120363{secrets.randbelow(10**12):012d}", subject, creator.lid, now)
        group.members[creator.lid] = OWNER
        self.add(group)
        return group

    def remove(self, group: Group) -> None:
        """The last member has left."""
        self._groups.pop(group.number, None)

    def get(self, jid: WireJid) -> Group | None:
        """The group at this address."""
        return self._groups.get(jid.user) if jid.server == GROUP_SERVER else None

    def need(self, jid: WireJid | None) -> Group:
        """The group at this address; raises QueryError 404."""
        group = self.get(jid) if jid else None
        if group is None:
            raise QueryError(404, "item-not-found")
        return group

    def by_invite(self, code: str) -> Group:
        """The group that an invite code leads to; raises QueryError 406 when there is none."""
        for group in self._groups.values():
            if group.invite == code:
                return group
        raise QueryError(406, "not-acceptable")

    def of(self, lid: str) -> list[Group]:
        """The groups that somebody is in."""
        return [group for group in self._groups.values() if lid in group.members]
