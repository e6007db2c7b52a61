"""The order of a bot's messages, without a loop and a database: against a model that knows of all messages at once."""

from __future__ import annotations

from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from zapwire.core.messages.queued_messages import Entry, Place, Queued
from zapwire.core.messages.send_queue import SendQueue
from zapwire.model.messages import MessageId

AT_ONCE = 2
PERSONS = [["1@s", "1@lid", "prs_1"], ["2@s", "2@lid"]]
NAMES = [name for names in PERSONS for name in names]


@dataclass(eq=False)
class Sent:
    """What the model knows of a message."""

    message: Queued
    state: str = "waiting"
    united: set[str] = field(default_factory=set)


class Model(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.lively: dict[str, float] = {}
        self.queue = SendQueue(AT_ONCE, self.pace)
        self.known = {name: {name} for name in NAMES}
        """Which names are known to be one chat."""
        self.entering: list[Entry] = []
        self.back: list[Sent] = []
        """To be stored again as queued."""
        self.flying: list[Sent] = []
        self.all: list[Sent] = []
        self.held: set[str] = set()
        self.n = 0

    def pace(self, names: object, since: float, now: float) -> float:
        return max((self.lively.get(name, 0.0) for name in self.chat(names)), default=0.0)

    def chat(self, names: object) -> set[str]:
        return {one for name in names for one in self.known[name]}  # type: ignore[attr-defined]

    @initialize(strangers=st.booleans())
    def begin(self, strangers: bool) -> None:
        if not strangers:
            for names in PERSONS:
                for name in names:
                    self.known[name] = set(names)

    def learn(self, one: str, other: str) -> None:
        united = self.known[one] | self.known[other]
        for name in united:
            self.known[name] = united

    def begins(self, sent: Sent) -> None:
        """The rule itself."""
        mine = self.known[sent.message.to]
        assert not self.held & mine, "a held chat"
        for other in self.all:
            if other is not sent and other.message.to in mine and other.message.n < sent.message.n:
                assert other.state == "over", f"{sent.message.id} before {other.message.id}"
        for other in self.flying:
            assert other.message.to not in mine, "two at once to one chat"
        sent.state = "flying"
        self.flying.append(sent)

    # -- steps ------------------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(NAMES), is_open=st.booleans())
    def submit(self, name: str, is_open: bool) -> None:
        self.entering.append(self.queue.enter(name, self.now, is_open=is_open))

    @rule(name=st.sampled_from(NAMES))
    def submit_and_store(self, name: str) -> None:
        self.submit(name, is_open=False)
        self.stored(self.entering.pop())

    @precondition(lambda self: self.entering)
    @rule(data=st.data())
    def store(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.entering))
        self.entering.remove(entry)
        self.stored(entry)

    def stored(self, entry: Entry) -> None:
        self.n += 1
        message = Queued(self.n, MessageId(f"m{self.n}"), entry.name, self.now + 1000, ready=self.now)
        sent = Sent(message)
        place = self.queue.stored(entry, message, self.known[entry.name], self.now)
        self.all.append(sent)
        if place is Place.SEND:
            self.begins(sent)
        elif place is Place.BACK:
            self.back.append(sent)
        assert (place is Place.QUEUED) is not entry.direct

    @precondition(lambda self: self.entering)
    @rule(data=st.data())
    def store_fails(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from(self.entering))
        self.entering.remove(entry)
        self.queue.leave(entry, self.now)
        self.queue.leave(entry, self.now)

    @precondition(lambda self: self.back)
    @rule()
    def stored_anew(self) -> None:
        sent = self.back.pop(0)
        self.queue.put(sent.message, (), self.now)
        self.queue.release(sent.message, self.now)

    @rule()
    def pump(self) -> None:
        while (message := self.queue.next(self.now)) is not None:
            [sent] = [one for one in self.all if one.message is message]
            assert sent.state == "waiting"
            self.begins(sent)
        if self.queue.busy < AT_ONCE:
            for sent in self.all:
                assert not self.could_go(sent), f"{sent.message.id} was left"

    def could_go(self, sent: Sent) -> bool:
        mine = self.known[sent.message.to]
        engaged = any(other.message.to in mine for other in self.flying + self.back)
        direct = any(entry.direct and entry.name in mine for entry in self.entering)
        ready = max(sent.message.ready, self.pace(mine, 0, self.now)) <= self.now
        first = not any(
            other.state == "waiting" and other.message.to in mine and other.message.n < sent.message.n
            for other in self.all
        )
        return sent.state == "waiting" and first and ready and not engaged and not direct and not self.held & mine

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), how=st.sampled_from(["ends", "retries", "is held"]), delay=st.sampled_from([0.0, 5.0]))
    def returns(self, data: st.DataObject, how: str, delay: float) -> None:
        sent = data.draw(st.sampled_from(self.flying))
        self.flying.remove(sent)
        if how == "ends":
            sent.state = "over"
        else:
            sent.state = "waiting"
            sent.message.ready = self.now + delay
            if how == "retries":
                self.queue.put(sent.message, (), self.now)
            else:
                self.queue.hold(sent.message, self.now)
                self.held.add(sent.message.to)
        self.queue.release(sent.message, self.now)

    @rule(name=st.sampled_from(NAMES))
    def writes(self, name: str) -> None:
        """A message from there: its names are known now, and nothing of it is held."""
        self.lively[name] = self.now + 0.05
        self.queue.know(self.known[name], self.now)
        for one in self.known[name]:
            self.queue.free(one, self.now)
        self.held -= self.known[name]

    @rule(data=st.data(), names=st.sampled_from(PERSONS))
    def becomes_known(self, data: st.DataObject, names: list[str]) -> None:
        one, other = data.draw(st.sampled_from(names)), data.draw(st.sampled_from(names))
        before = (self.held & self.known[one], self.held & self.known[other])
        apart = self.known[one] is not self.known[other]
        waiting = [self.waits(self.known[one]), self.waits(self.known[other])]
        self.learn(one, other)
        self.queue.know(self.known[one], self.now)
        if apart and all(waiting) and not all(before):  # one of them is not held, so both are looked at again
            self.held -= self.known[one]

    def waits(self, names: set[str]) -> bool:
        waiting = any(sent.state != "over" and sent.message.to in names for sent in self.all)
        return waiting or any(entry.name in names for entry in self.entering)

    @rule()
    def limit_ends(self) -> None:
        self.queue.free_all()
        self.held.clear()

    @rule(seconds=st.sampled_from([0.01, 0.1, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def counts(self) -> None:
        assert self.queue.busy <= AT_ONCE
        assert self.queue.busy == len(self.flying) + len(self.back) + sum(entry.direct for entry in self.entering)
        assert self.queue.waiting == sum(sent.state == "waiting" for sent in self.all if sent not in self.back)
        assert self.queue.entering == len(self.entering)

    def teardown(self) -> None:
        """Everything goes out in the end, and nothing is left behind."""
        for entry in self.entering:
            self.queue.leave(entry, self.now)
        self.entering = []
        while self.back:
            self.stored_anew()
        self.limit_ends()
        self.now += 100
        self.pump()
        while self.flying:
            sent = self.flying.pop()
            sent.state = "over"
            self.queue.release(sent.message, self.now)
            self.pump()
        assert all(sent.state == "over" for sent in self.all)
        assert not self.queue._chats
        assert not self.queue._engaged
        assert self.queue._ready.first() is None
        assert self.queue._deadlines.first() is None


Model.TestCase.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
test_no_message_overtakes_another_of_its_chat = Model.TestCase


def queue_of(chats: int) -> SendQueue:
    queue = SendQueue(4, lambda names, since, now: since)
    for number in range(chats):
        queue.put(Queued(number, MessageId(str(number)), f"{number}@s", 1e9, ready=0.0), [f"{number}@s"], 0.0)
    return queue


def test_what_waited_too_long_comes_out_whether_held_or_not():
    queue = SendQueue(4, lambda names, since, now: since)
    for number in range(3):
        queue.put(Queued(number, MessageId(str(number)), f"{number}@s", deadline=10.0 + number), [], 0.0)
    first = queue.next(0.0)
    assert first is not None
    queue.hold(first, 0.0)
    queue.release(first, 0.0)
    assert queue.expired(9.9) is None
    assert queue.expired(10.0) is first
    assert queue.expired(10.0) is None
    queue.release(first, 0.0)
    assert [message.n for message in (queue.expired(20), queue.expired(20)) if message] == [1, 2]


def test_a_deadline_behind_others_of_its_chat_is_noticed_in_time():
    queue = SendQueue(4, lambda names, since, now: since)
    for number, deadline in enumerate((90.0, 20.0, 50.0, 20.0)):
        queue.put(Queued(number, MessageId(str(number)), "1@s", deadline=deadline), [], 0.0)
    assert queue.expired(19.9) is None
    for number in (1, 3):
        late = queue.expired(20.0)
        assert late is not None
        assert late.n == number
        queue.release(late, 0.0)
    assert queue.expired(49.9) is None
    late = queue.expired(50.0)
    assert late is not None
    queue.release(late, 0.0)
    head = queue.next(0.0)
    assert (late.n, head and head.n, queue.waiting) == (2, 0, 0)


def test_held_chats_are_not_looked_at_until_they_are_freed():
    looks = []

    def pace(names: object, since: float, now: float) -> float:
        looks.append(names)
        return since

    queue = queue_of(1000)
    queue._pace = pace
    while (message := queue.next(1.0)) is not None:
        queue.hold(message, 1.0)
        queue.release(message, 1.0)
    looks.clear()
    for number in range(100):
        assert not queue.is_ready(2.0)
        queue.put(Queued(2000 + number, MessageId("x"), f"{number}@s", 1e9), [f"{number}@s"], 2.0)
    assert looks == []
    queue.free_one(3.0)
    assert queue.next(3.0) is not None
    queue.free("7@s", 3.0)
    assert getattr(queue.next(3.0), "n", None) == 7
    assert queue.next(3.0) is None
    queue.free_all()
    assert queue.next(3.0) is not None
    assert len(looks) < 10, "all were looked at because one could go"


def test_what_waits_for_an_account_that_is_gone_is_dropped_and_what_is_under_way_is_not():
    queue = queue_of(3)
    entry = queue.enter("new@s", 0.0, is_open=True)
    flying = queue.next(0.0)
    assert flying is not None
    queue.clear()
    assert (queue.waiting, queue.busy, queue.entering) == (0, 2, 1)
    assert queue.next(0.0) is None
    queue.release(flying, 0.0)
    queue.leave(entry, 0.0)
    assert not queue._chats


def test_a_message_that_is_being_stored_waits_when_its_chat_turns_out_to_be_another_one_that_is_busy():
    queue = SendQueue(4, lambda names, since, now: since)
    first, second = (queue.enter(name, 0.0, is_open=True) for name in ("1@s", "1@lid"))
    assert (first.direct, second.direct) == (True, True)
    one, two = (Queued(n, MessageId(str(n)), name, 1e9) for n, name in enumerate(("1@s", "1@lid")))
    assert queue.stored(first, one, ["1@s"], 0.0) is Place.SEND
    assert queue.stored(second, two, ["1@lid", "1@s"], 0.0) is Place.BACK
    queue.put(two, (), 0.0)
    queue.release(two, 0.0)
    assert queue.next(0.0) is None, "the first is still on its way"
    queue.release(one, 0.0)
    assert queue.next(0.0) is two


def test_a_chat_with_many_messages_takes_turns_with_the_others():
    queue = SendQueue(1, lambda names, since, now: since)
    for n, name in enumerate(["1@s", "1@s", "1@s", "2@s"]):
        queue.put(Queued(n, MessageId(str(n)), name, 1e9), (), float(n))
    order = []
    while (message := queue.next(10.0)) is not None:
        order.append(message.n)
        queue.put(Queued(9 + message.n, MessageId("more"), "3@s", 1e9, ready=20.0), (), 10.0)
        queue.release(message, 10.0)
    assert order == [0, 3, 1, 2]
