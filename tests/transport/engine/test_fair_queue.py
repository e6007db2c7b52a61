"""The order of calls as a state machine: whatever comes, no owner has more than its share, nothing is lost or twice."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from zapwire.transport.whatsapp_web.engine.fair_queue import FairQueue

OWNERS = "abc"
PER_OWNER = 2
PATIENCE = 10.0


class Calls(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.queue: FairQueue[int] = FairQueue(PER_OWNER, PATIENCE)
        self.now = 0.0
        self.number = 0
        self.waiting: dict[str, list[int]] = {owner: [] for owner in OWNERS}
        self.running: dict[str, list[float]] = {owner: [] for owner in OWNERS}
        self.passed_over: dict[str, int] = dict.fromkeys(OWNERS, 0)
        """By owner that may begin: how many of others began meanwhile."""

    def may_begin(self, owner: str) -> bool:
        running = self.running[owner]
        hangs = bool(running) and self.now - running[0] >= PATIENCE
        return bool(self.waiting[owner]) and len(running) < PER_OWNER and not hangs

    @rule(owner=st.sampled_from(OWNERS))
    def put(self, owner: str) -> None:
        self.number += 1
        self.waiting[owner].append(self.number)
        self.queue.put(owner, self.number)

    @rule()
    def take(self) -> None:
        able = [owner for owner in OWNERS if self.may_begin(owner)]
        taken = self.queue.take(self.now)
        if taken is None:
            assert able == []
            return
        owner, item = taken
        assert owner in able
        assert item == self.waiting[owner].pop(0)
        self.running[owner].append(self.now)
        for other in able:
            self.passed_over[other] = 0 if other == owner else self.passed_over[other] + 1
            assert self.passed_over[other] <= len(OWNERS), "an owner that may begin has its turn"

    @precondition(lambda self: any(self.running.values()))
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from([owner for owner in OWNERS if self.running[owner]]))
        began = data.draw(st.sampled_from(self.running[owner]))
        self.running[owner].remove(began)
        self.queue.done(owner, began)

    @precondition(lambda self: any(self.waiting.values()))
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        owner = data.draw(st.sampled_from([owner for owner in OWNERS if self.waiting[owner]]))
        item = data.draw(st.sampled_from(self.waiting[owner]))
        self.waiting[owner].remove(item)
        assert self.queue.withdraw(owner, item)
        assert not self.queue.withdraw(owner, item)

    @rule(seconds=st.sampled_from((1.0, PATIENCE)))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def it_agrees(self) -> None:
        for owner in OWNERS:
            assert self.queue.waiting(owner) == len(self.waiting[owner])
            assert self.queue.oldest(owner) == (min(self.running[owner]) if self.running[owner] else None)
        if any(map(self.may_begin, OWNERS)):
            assert self.queue.may_have_next


TestCalls = Calls.TestCase
