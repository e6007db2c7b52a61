from __future__ import annotations

import asyncio
import threading

from zapwire.transport.whatsapp_web.inbound.event_queue import EventQueue


async def test_items_come_out_in_order_and_a_full_queue_blocks_the_engine():
    incoming = EventQueue(asyncio.get_running_loop(), capacity=2)
    put: list[int] = []

    def engine():
        for number in range(20):
            incoming.put(number, b"")
            put.append(number)

    thread = threading.Thread(target=engine, daemon=True)
    thread.start()
    await asyncio.to_thread(thread.join, 0.05)
    assert put == [0, 1]
    assert [(await incoming.get())[0] for _ in range(20)] == list(range(20))


async def test_a_closed_queue_lets_the_engine_go():
    incoming = EventQueue(asyncio.get_running_loop(), capacity=1)
    thread = threading.Thread(target=lambda: [incoming.put(1, b"") for _ in range(3)], daemon=True)
    thread.start()
    incoming.close()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


async def test_an_item_being_dealt_with_is_not_quiet():
    incoming = EventQueue(asyncio.get_running_loop())
    incoming.put(1, b"")
    assert incoming.quiet_for() == 0
    await incoming.get()
    assert incoming.quiet_for() == 0
    incoming.put(2, b"")
    await incoming.get()
    incoming.done()
    assert incoming.quiet_for() == 0
    incoming.done()
    assert incoming.quiet_for() > 0
