from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from safelight.v1 import images_pb2 as _images_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_QUEUED: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_RESTING: _ClassVar[JobState]
    JOB_STATE_SUCCEEDED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_QUEUED: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_RESTING: JobState
JOB_STATE_SUCCEEDED: JobState
JOB_STATE_CANCELLED: JobState
JOB_STATE_FAILED: JobState

class SubmitRequest(_message.Message):
    __slots__ = ("generate", "refine")
    GENERATE_FIELD_NUMBER: _ClassVar[int]
    REFINE_FIELD_NUMBER: _ClassVar[int]
    generate: _images_pb2.GenerateRequest
    refine: _images_pb2.RefineRequest
    def __init__(self, generate: _Optional[_Union[_images_pb2.GenerateRequest, _Mapping]] = ..., refine: _Optional[_Union[_images_pb2.RefineRequest, _Mapping]] = ...) -> None: ...

class SubmitResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class AttachRequest(_message.Message):
    __slots__ = ("job_id", "after_sequence", "preview", "max_image_bytes")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    after_sequence: int
    preview: _images_pb2.PreviewOptions
    max_image_bytes: int
    def __init__(self, job_id: _Optional[str] = ..., after_sequence: _Optional[int] = ..., preview: _Optional[_Union[_images_pb2.PreviewOptions, _Mapping]] = ..., max_image_bytes: _Optional[int] = ...) -> None: ...

class AttachResponse(_message.Message):
    __slots__ = ("job_id", "sequence", "queued", "started", "progress", "preview", "image", "done", "image_part", "rested", "resumed")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    STARTED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_PART_FIELD_NUMBER: _ClassVar[int]
    RESTED_FIELD_NUMBER: _ClassVar[int]
    RESUMED_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    sequence: int
    queued: _images_pb2.Queued
    started: _images_pb2.Started
    progress: _images_pb2.Progress
    preview: _images_pb2.Preview
    image: _images_pb2.Image
    done: _images_pb2.Done
    image_part: _images_pb2.ImagePart
    rested: _images_pb2.Rested
    resumed: _images_pb2.Resumed
    def __init__(self, job_id: _Optional[str] = ..., sequence: _Optional[int] = ..., queued: _Optional[_Union[_images_pb2.Queued, _Mapping]] = ..., started: _Optional[_Union[_images_pb2.Started, _Mapping]] = ..., progress: _Optional[_Union[_images_pb2.Progress, _Mapping]] = ..., preview: _Optional[_Union[_images_pb2.Preview, _Mapping]] = ..., image: _Optional[_Union[_images_pb2.Image, _Mapping]] = ..., done: _Optional[_Union[_images_pb2.Done, _Mapping]] = ..., image_part: _Optional[_Union[_images_pb2.ImagePart, _Mapping]] = ..., rested: _Optional[_Union[_images_pb2.Rested, _Mapping]] = ..., resumed: _Optional[_Union[_images_pb2.Resumed, _Mapping]] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class GetJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "state", "model")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    state: JobState
    model: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., state: _Optional[_Union[JobState, str]] = ..., model: _Optional[str] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class DeleteJobResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class CancelJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class FinishJobRequest(_message.Message):
    __slots__ = ("job_id",)
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    def __init__(self, job_id: _Optional[str] = ...) -> None: ...

class FinishJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class ForkRequest(_message.Message):
    __slots__ = ("job_id", "step", "image_index", "changes", "request_id", "on_disconnect", "grace", "retain", "stop_at_step", "wait_for_model")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    IMAGE_INDEX_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ON_DISCONNECT_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    RETAIN_FIELD_NUMBER: _ClassVar[int]
    STOP_AT_STEP_FIELD_NUMBER: _ClassVar[int]
    WAIT_FOR_MODEL_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    step: int
    image_index: int
    changes: ForkChanges
    request_id: str
    on_disconnect: _images_pb2.OnDisconnect
    grace: _duration_pb2.Duration
    retain: _duration_pb2.Duration
    stop_at_step: int
    wait_for_model: bool
    def __init__(self, job_id: _Optional[str] = ..., step: _Optional[int] = ..., image_index: _Optional[int] = ..., changes: _Optional[_Union[ForkChanges, _Mapping]] = ..., request_id: _Optional[str] = ..., on_disconnect: _Optional[_Union[_images_pb2.OnDisconnect, str]] = ..., grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., retain: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., stop_at_step: _Optional[int] = ..., wait_for_model: bool = ...) -> None: ...

class ForkChanges(_message.Message):
    __slots__ = ("prompt", "negative_prompt", "guidance_scale", "seed", "model", "scheduler")
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_PROMPT_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_SCALE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_FIELD_NUMBER: _ClassVar[int]
    prompt: str
    negative_prompt: str
    guidance_scale: float
    seed: int
    model: str
    scheduler: str
    def __init__(self, prompt: _Optional[str] = ..., negative_prompt: _Optional[str] = ..., guidance_scale: _Optional[float] = ..., seed: _Optional[int] = ..., model: _Optional[str] = ..., scheduler: _Optional[str] = ...) -> None: ...

class ForkResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class EstimateRequest(_message.Message):
    __slots__ = ("generate", "refine")
    GENERATE_FIELD_NUMBER: _ClassVar[int]
    REFINE_FIELD_NUMBER: _ClassVar[int]
    generate: _images_pb2.GenerateRequest
    refine: _images_pb2.RefineRequest
    def __init__(self, generate: _Optional[_Union[_images_pb2.GenerateRequest, _Mapping]] = ..., refine: _Optional[_Union[_images_pb2.RefineRequest, _Mapping]] = ...) -> None: ...

class EstimateResponse(_message.Message):
    __slots__ = ("wait", "work", "total", "peak_bytes", "fits", "is_known")
    WAIT_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    PEAK_BYTES_FIELD_NUMBER: _ClassVar[int]
    FITS_FIELD_NUMBER: _ClassVar[int]
    IS_KNOWN_FIELD_NUMBER: _ClassVar[int]
    wait: Interval
    work: Interval
    total: Interval
    peak_bytes: int
    fits: bool
    is_known: bool
    def __init__(self, wait: _Optional[_Union[Interval, _Mapping]] = ..., work: _Optional[_Union[Interval, _Mapping]] = ..., total: _Optional[_Union[Interval, _Mapping]] = ..., peak_bytes: _Optional[int] = ..., fits: bool = ..., is_known: bool = ...) -> None: ...

class Interval(_message.Message):
    __slots__ = ("low", "likely", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    LIKELY_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: _duration_pb2.Duration
    likely: _duration_pb2.Duration
    high: _duration_pb2.Duration
    def __init__(self, low: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., likely: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., high: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class VerifyRequest(_message.Message):
    __slots__ = ("file", "receipt", "image", "mask")
    FILE_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    file: bytes
    receipt: _images_pb2.Receipt
    image: bytes
    mask: bytes
    def __init__(self, file: _Optional[bytes] = ..., receipt: _Optional[_Union[_images_pb2.Receipt, _Mapping]] = ..., image: _Optional[bytes] = ..., mask: _Optional[bytes] = ...) -> None: ...

class VerifyResponse(_message.Message):
    __slots__ = ("same", "max_difference", "differs", "receipt")
    SAME_FIELD_NUMBER: _ClassVar[int]
    MAX_DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    DIFFERS_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    same: bool
    max_difference: int
    differs: _containers.RepeatedScalarFieldContainer[str]
    receipt: _images_pb2.Receipt
    def __init__(self, same: bool = ..., max_difference: _Optional[int] = ..., differs: _Optional[_Iterable[str]] = ..., receipt: _Optional[_Union[_images_pb2.Receipt, _Mapping]] = ...) -> None: ...

class Job(_message.Message):
    __slots__ = ("id", "state", "image_index", "step", "steps", "position", "eta", "last_sequence", "create_time", "end_time", "expire_time", "generate", "refine", "images_done", "num_images", "checkpoints", "failure", "warnings", "forked_from", "request_id", "on_disconnect", "finished_early")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_INDEX_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    ETA_FIELD_NUMBER: _ClassVar[int]
    LAST_SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    GENERATE_FIELD_NUMBER: _ClassVar[int]
    REFINE_FIELD_NUMBER: _ClassVar[int]
    IMAGES_DONE_FIELD_NUMBER: _ClassVar[int]
    NUM_IMAGES_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    FORKED_FROM_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ON_DISCONNECT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_EARLY_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: JobState
    image_index: int
    step: int
    steps: int
    position: int
    eta: Interval
    last_sequence: int
    create_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    generate: _images_pb2.GenerateRequest
    refine: _images_pb2.RefineRequest
    images_done: int
    num_images: int
    checkpoints: _containers.RepeatedCompositeFieldContainer[Checkpoints]
    failure: Failure
    warnings: _containers.RepeatedScalarFieldContainer[str]
    forked_from: str
    request_id: str
    on_disconnect: _images_pb2.OnDisconnect
    finished_early: bool
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[JobState, str]] = ..., image_index: _Optional[int] = ..., step: _Optional[int] = ..., steps: _Optional[int] = ..., position: _Optional[int] = ..., eta: _Optional[_Union[Interval, _Mapping]] = ..., last_sequence: _Optional[int] = ..., create_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., generate: _Optional[_Union[_images_pb2.GenerateRequest, _Mapping]] = ..., refine: _Optional[_Union[_images_pb2.RefineRequest, _Mapping]] = ..., images_done: _Optional[int] = ..., num_images: _Optional[int] = ..., checkpoints: _Optional[_Iterable[_Union[Checkpoints, _Mapping]]] = ..., failure: _Optional[_Union[Failure, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., forked_from: _Optional[str] = ..., request_id: _Optional[str] = ..., on_disconnect: _Optional[_Union[_images_pb2.OnDisconnect, str]] = ..., finished_early: bool = ...) -> None: ...

class Checkpoints(_message.Message):
    __slots__ = ("image_index", "steps")
    IMAGE_INDEX_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    image_index: int
    steps: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, image_index: _Optional[int] = ..., steps: _Optional[_Iterable[int]] = ...) -> None: ...

class Failure(_message.Message):
    __slots__ = ("code", "reason", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: str
    reason: str
    message: str
    def __init__(self, code: _Optional[str] = ..., reason: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...
