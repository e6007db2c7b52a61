"""What the core sees of a store: protocols, no driver and no SQL."""

from zapwire.store.ports.backlog import BacklogRepository as BacklogRepository
from zapwire.store.ports.bots import BotHistoryRepository as BotHistoryRepository
from zapwire.store.ports.bots import BotRepository as BotRepository
from zapwire.store.ports.journal import ClockRepository as ClockRepository
from zapwire.store.ports.journal import JournalRepository as JournalRepository
from zapwire.store.ports.journal import RetentionRepository as RetentionRepository
from zapwire.store.ports.media import MediaRepository as MediaRepository
from zapwire.store.ports.messages import ChatTimerRepository as ChatTimerRepository
from zapwire.store.ports.messages import HistoryNoticeRepository as HistoryNoticeRepository
from zapwire.store.ports.messages import MessageRepository as MessageRepository
from zapwire.store.ports.messages import OutboxRepository as OutboxRepository
from zapwire.store.ports.messages import PacingRepository as PacingRepository
from zapwire.store.ports.messages import PersonRepository as PersonRepository
from zapwire.store.ports.messages import PollVoteRepository as PollVoteRepository
from zapwire.store.ports.messages import ReceiptRepository as ReceiptRepository
from zapwire.store.ports.tokens import TokenRepository as TokenRepository
from zapwire.store.ports.unit_of_work import Store as Store
from zapwire.store.ports.unit_of_work import Transactions as Transactions
from zapwire.store.ports.unit_of_work import UnitOfWork as UnitOfWork
from zapwire.store.ports.unit_of_work import View as View
from zapwire.store.ports.webhooks import DeliveryLogRepository as DeliveryLogRepository
from zapwire.store.ports.webhooks import DeliveryQueueRepository as DeliveryQueueRepository
from zapwire.store.ports.webhooks import EndpointRepository as EndpointRepository
