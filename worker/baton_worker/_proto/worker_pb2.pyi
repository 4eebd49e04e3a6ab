from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DeregisterWorkerRequest(_message.Message):
    __slots__ = ["epoch", "instance_id", "worker_id"]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    instance_id: str
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ..., instance_id: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

class DeregisterWorkerResponse(_message.Message):
    __slots__ = ["accepted", "redirect"]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REDIRECT_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    redirect: Redirect
    def __init__(self, accepted: bool = ..., redirect: _Optional[_Union[Redirect, _Mapping]] = ...) -> None: ...

class HeartbeatRequest(_message.Message):
    __slots__ = ["epoch", "instance_id", "worker_id"]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    instance_id: str
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ..., instance_id: _Optional[str] = ..., epoch: _Optional[int] = ...) -> None: ...

class HeartbeatResponse(_message.Message):
    __slots__ = ["accepted", "epoch", "heartbeat_interval_ms", "redirect"]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    REDIRECT_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    epoch: int
    heartbeat_interval_ms: int
    redirect: Redirect
    def __init__(self, accepted: bool = ..., heartbeat_interval_ms: _Optional[int] = ..., redirect: _Optional[_Union[Redirect, _Mapping]] = ..., epoch: _Optional[int] = ...) -> None: ...

class Redirect(_message.Message):
    __slots__ = ["cluster_id", "leader_address", "leader_id", "member_addresses"]
    CLUSTER_ID_FIELD_NUMBER: _ClassVar[int]
    LEADER_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    LEADER_ID_FIELD_NUMBER: _ClassVar[int]
    MEMBER_ADDRESSES_FIELD_NUMBER: _ClassVar[int]
    cluster_id: str
    leader_address: str
    leader_id: str
    member_addresses: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, leader_id: _Optional[str] = ..., leader_address: _Optional[str] = ..., member_addresses: _Optional[_Iterable[str]] = ..., cluster_id: _Optional[str] = ...) -> None: ...

class RegisterWorkerRequest(_message.Message):
    __slots__ = ["address", "cloud", "instance_id", "labels", "slots", "worker_id"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CLOUD_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    SLOTS_FIELD_NUMBER: _ClassVar[int]
    WORKER_ID_FIELD_NUMBER: _ClassVar[int]
    address: str
    cloud: str
    instance_id: str
    labels: _containers.ScalarMap[str, str]
    slots: int
    worker_id: str
    def __init__(self, worker_id: _Optional[str] = ..., instance_id: _Optional[str] = ..., address: _Optional[str] = ..., cloud: _Optional[str] = ..., slots: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class RegisterWorkerResponse(_message.Message):
    __slots__ = ["accepted", "epoch", "heartbeat_interval_ms", "redirect"]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_INTERVAL_MS_FIELD_NUMBER: _ClassVar[int]
    REDIRECT_FIELD_NUMBER: _ClassVar[int]
    accepted: bool
    epoch: int
    heartbeat_interval_ms: int
    redirect: Redirect
    def __init__(self, accepted: bool = ..., epoch: _Optional[int] = ..., heartbeat_interval_ms: _Optional[int] = ..., redirect: _Optional[_Union[Redirect, _Mapping]] = ...) -> None: ...
