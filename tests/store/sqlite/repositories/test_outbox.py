"""The states of an outgoing message only move forward, in whatever order its news come."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.harness.keys import KEYS
from zapwire.model import timestamps
from zapwire.model.bots import BotId, BotRow
from zapwire.model.content.text import TextContent
from zapwire.model.messages import MessageId, MessageState, NewMessage
from zapwire.store.sqlite.migrations import prepare
from zapwire.store.sqlite.sealed_values import connect
from zapwire.store.sqlite.unit_of_work import SqliteUnitOfWork

BOT, ID = BotId("bot"), MessageId("msg_1")
RANK = {
    MessageState.QUEUED: 0,
    MessageState.SENDING: 0,
    MessageState.SENT: 1,
    MessageState.DELIVERED: 2,
    MessageState.READ: 3,
    MessageState.PLAYED: 4,
    MessageState.FAILED: 9,
    MessageState.UNKNOWN: 9,
}
RECEIPTS = (MessageState.DELIVERED, MessageState.READ, MessageState.PLAYED)


class OneMessage(RuleBasedStateMachine):
    """Any sequence of hand-overs, answers, failures, crashes and receipts."""

    def __init__(self) -> None:
        super().__init__()
        sql = connect(":memory:")
        prepare(KEYS, sql)
        self.transaction, now = SqliteUnitOfWork(sql), timestamps.now()
        self.transaction.bots.insert(BotRow(BOT, "bot", autostart=True, created_at=now))
        message = NewMessage(ID, BOT, "1@lid", TextContent(text="hi"), b"", now, now)
        self.transaction.outbox.insert(message, MessageState.QUEUED)
        self.before = MessageState.QUEUED
        self.answered = False
        self.receipts: list[MessageState] = []
        """Those that came when they could matter."""

    @property
    def state(self) -> MessageState:
        view = self.transaction.outbox.get(BOT, ID)
        assert view is not None
        return view.state

    @initialize(sent=st.booleans())
    def begin(self, sent: bool) -> None:
        if sent:
            self.take()
            self.answer()

    @rule()
    def take(self) -> None:
        was = self.state
        assert (self.transaction.outbox.take(BOT, ID) is not None) == (was is MessageState.QUEUED)

    @rule()
    def requeue(self) -> None:
        self.transaction.outbox.requeue(ID, 1, timestamps.now(), "no connection")

    @rule()
    def answer(self) -> None:
        if self.state is not MessageState.SENDING:
            return
        for step, _ in self.transaction.outbox.sent(BOT, ID, "WA", timestamps.now()):
            if step is not MessageState.SENT:
                assert self.transaction.outbox.apply_step(ID, step)
        self.answered = True

    @rule(state=st.sampled_from([MessageState.FAILED, MessageState.UNKNOWN]))
    def finish(self, state: MessageState) -> None:
        was = self.state
        assert self.transaction.outbox.finish(ID, state, "why") == (RANK[was] == 0)

    @rule()
    def crash(self) -> None:
        was = self.state
        found = self.transaction.outbox.interrupted(BOT, "crashed")
        assert found == ([ID] if was is MessageState.SENDING else [])
        if not self.answered:
            self.receipts.clear()

    @rule(kind=st.sampled_from(RECEIPTS))
    def receipt(self, kind: MessageState) -> None:
        was = self.state
        moved = self.transaction.outbox.advance(BOT, "WA", kind)
        if was is MessageState.SENDING or self.answered:
            self.receipts.append(kind)
        assert (moved is not None) == (self.answered and RANK[kind] > RANK[was])

    @rule(kind=st.sampled_from(RECEIPTS))
    def receipt_of_another_message(self, kind: MessageState) -> None:
        assert self.transaction.outbox.advance(BOT, "OTHER", kind) is None

    @invariant()
    def only_forward(self) -> None:
        now = self.state
        assert RANK[now] >= RANK[self.before]
        if RANK[self.before] == 9:
            assert now is self.before
        self.before = now

    @invariant()
    def as_far_as_the_receipts_say(self) -> None:
        if self.answered:
            assert self.state is max((MessageState.SENT, *self.receipts), key=RANK.__getitem__)

    def teardown(self) -> None:
        self.transaction.sql.close()


TestOneMessage = OneMessage.TestCase
TestOneMessage.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)
