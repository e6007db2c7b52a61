from __future__ import annotations

import ast
import asyncio
import logging
from pathlib import Path

import pytest

import zapwire
from zapwire.runtime.tasks import Tasks, spawn, supervise


async def _fail() -> None:
    raise ValueError("broken")


async def test_a_task_that_fails_is_logged_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    task = spawn(_fail(), "pump of shop")
    await asyncio.wait([task])
    await asyncio.sleep(0)
    assert "task pump of shop failed" in caplog.text
    assert "ValueError: broken" in caplog.text


async def test_a_task_whose_maker_reads_its_result_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ValueError, match="broken"):
        await spawn(_fail(), "one", awaited=True)
    await asyncio.sleep(0)
    assert caplog.text == ""


async def test_a_supervised_task_is_started_again_and_ends_when_its_work_returns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    starts = 0

    async def work() -> None:
        nonlocal starts
        starts += 1
        if starts < 4:
            raise ValueError(f"failure {starts}")

    await supervise("counter", work, first=0.0)
    assert starts == 4
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 3


async def test_cancelling_ends_a_supervised_task() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = spawn(supervise("waiter", work), "waiter")
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


async def test_a_shielded_step_ends_although_its_caller_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    tasks, begun, go, done = Tasks(), asyncio.Event(), asyncio.Event(), []

    async def step() -> None:
        begun.set()
        await go.wait()
        done.append(1)
        raise ValueError("nobody sees this")

    caller = spawn(tasks.shielded(step(), "step"), "caller")
    await begun.wait()
    caller.cancel()
    await asyncio.wait([caller])
    assert caller.cancelled()
    assert done == []
    go.set()
    await tasks.settled()
    assert done == [1]
    assert len(tasks) == 0
    assert "nobody sees this" in caplog.text


async def test_a_shielded_step_answers_its_caller() -> None:
    async def step() -> int:
        return 7

    tasks = Tasks()
    assert await tasks.shielded(step(), "step") == 7
    with pytest.raises(ValueError, match="broken"):
        await tasks.shielded(_fail(), "step")


async def test_cancel_ends_all_of_an_owner() -> None:
    tasks = Tasks()
    one = tasks.spawn(asyncio.Event().wait(), "one")
    two = tasks.spawn(asyncio.Event().wait(), "two")
    await asyncio.sleep(0)
    await tasks.cancel()
    assert one.cancelled()
    assert two.cancelled()


def test_nothing_else_starts_tasks() -> None:
    """A raw task dies in silence; one of a task group does not."""
    source = Path(zapwire.__file__).parent
    for path in source.rglob("*.py"):
        if path == source / "runtime/tasks.py" or source / "sandbox" in path.parents:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in {"create_task", "ensure_future"}:
                assert ast.unparse(node).endswith("_group.create_task"), f"{path}:{node.lineno}"
