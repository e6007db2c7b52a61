"""The engine's protobuf modules: what its exports and events are made of."""

from __future__ import annotations

import zapwire.neonize_protos  # noqa: F401 - before any neonize module

# isort: split
from neonize.proto import Neonize_pb2 as neonize
from neonize.proto.waCompanionReg import WAWebProtobufsCompanionReg_pb2 as companion
from neonize.proto.waE2E import WAWebProtobufsE2E_pb2 as e2e

__all__ = ["companion", "e2e", "neonize"]
