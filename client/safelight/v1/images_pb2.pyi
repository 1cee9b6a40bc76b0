from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Priority(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PRIORITY_UNSPECIFIED: _ClassVar[Priority]
    PRIORITY_INTERACTIVE: _ClassVar[Priority]
    PRIORITY_NORMAL: _ClassVar[Priority]
    PRIORITY_BATCH: _ClassVar[Priority]

class PromptSyntax(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROMPT_SYNTAX_UNSPECIFIED: _ClassVar[PromptSyntax]
    PROMPT_SYNTAX_LITERAL: _ClassVar[PromptSyntax]
    PROMPT_SYNTAX_WEIGHTED: _ClassVar[PromptSyntax]

class OnDisconnect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ON_DISCONNECT_UNSPECIFIED: _ClassVar[OnDisconnect]
    ON_DISCONNECT_CANCEL: _ClassVar[OnDisconnect]
    ON_DISCONNECT_GRACE: _ClassVar[OnDisconnect]
    ON_DISCONNECT_KEEP: _ClassVar[OnDisconnect]

class ImageFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IMAGE_FORMAT_UNSPECIFIED: _ClassVar[ImageFormat]
    IMAGE_FORMAT_PNG: _ClassVar[ImageFormat]
    IMAGE_FORMAT_JPEG: _ClassVar[ImageFormat]
    IMAGE_FORMAT_WEBP: _ClassVar[ImageFormat]

class PreviewDecoder(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PREVIEW_DECODER_UNSPECIFIED: _ClassVar[PreviewDecoder]
    PREVIEW_DECODER_LINEAR: _ClassVar[PreviewDecoder]
    PREVIEW_DECODER_TINY: _ClassVar[PreviewDecoder]

class ModelState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_STATE_UNSPECIFIED: _ClassVar[ModelState]
    MODEL_STATE_LOADED: _ClassVar[ModelState]
    MODEL_STATE_LOADING: _ClassVar[ModelState]
    MODEL_STATE_UNLOADED: _ClassVar[ModelState]
    MODEL_STATE_FAILED: _ClassVar[ModelState]

class ModelKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODEL_KIND_UNSPECIFIED: _ClassVar[ModelKind]
    MODEL_KIND_BASE: _ClassVar[ModelKind]
    MODEL_KIND_REFINER: _ClassVar[ModelKind]
    MODEL_KIND_INPAINT: _ClassVar[ModelKind]
PRIORITY_UNSPECIFIED: Priority
PRIORITY_INTERACTIVE: Priority
PRIORITY_NORMAL: Priority
PRIORITY_BATCH: Priority
PROMPT_SYNTAX_UNSPECIFIED: PromptSyntax
PROMPT_SYNTAX_LITERAL: PromptSyntax
PROMPT_SYNTAX_WEIGHTED: PromptSyntax
ON_DISCONNECT_UNSPECIFIED: OnDisconnect
ON_DISCONNECT_CANCEL: OnDisconnect
ON_DISCONNECT_GRACE: OnDisconnect
ON_DISCONNECT_KEEP: OnDisconnect
IMAGE_FORMAT_UNSPECIFIED: ImageFormat
IMAGE_FORMAT_PNG: ImageFormat
IMAGE_FORMAT_JPEG: ImageFormat
IMAGE_FORMAT_WEBP: ImageFormat
PREVIEW_DECODER_UNSPECIFIED: PreviewDecoder
PREVIEW_DECODER_LINEAR: PreviewDecoder
PREVIEW_DECODER_TINY: PreviewDecoder
MODEL_STATE_UNSPECIFIED: ModelState
MODEL_STATE_LOADED: ModelState
MODEL_STATE_LOADING: ModelState
MODEL_STATE_UNLOADED: ModelState
MODEL_STATE_FAILED: ModelState
MODEL_KIND_UNSPECIFIED: ModelKind
MODEL_KIND_BASE: ModelKind
MODEL_KIND_REFINER: ModelKind
MODEL_KIND_INPAINT: ModelKind

class GenerateRequest(_message.Message):
    __slots__ = ("model", "prompt", "prompt_2", "negative_prompt", "negative_prompt_2", "width", "height", "steps", "guidance_scale", "guidance_rescale", "seed", "num_images", "scheduler", "scheduler_options", "size_conditioning", "refiner", "output", "priority", "acceleration", "prompt_syntax", "request_id", "on_disconnect", "grace", "retain", "stop_at_step", "wait_for_model")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_2_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_PROMPT_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_PROMPT_2_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_SCALE_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_RESCALE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    NUM_IMAGES_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    SIZE_CONDITIONING_FIELD_NUMBER: _ClassVar[int]
    REFINER_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    ACCELERATION_FIELD_NUMBER: _ClassVar[int]
    PROMPT_SYNTAX_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ON_DISCONNECT_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    RETAIN_FIELD_NUMBER: _ClassVar[int]
    STOP_AT_STEP_FIELD_NUMBER: _ClassVar[int]
    WAIT_FOR_MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    prompt: str
    prompt_2: str
    negative_prompt: str
    negative_prompt_2: str
    width: int
    height: int
    steps: int
    guidance_scale: float
    guidance_rescale: float
    seed: int
    num_images: int
    scheduler: str
    scheduler_options: SchedulerOptions
    size_conditioning: SizeConditioning
    refiner: RefinerStage
    output: OutputOptions
    priority: Priority
    acceleration: Acceleration
    prompt_syntax: PromptSyntax
    request_id: str
    on_disconnect: OnDisconnect
    grace: _duration_pb2.Duration
    retain: _duration_pb2.Duration
    stop_at_step: int
    wait_for_model: bool
    def __init__(self, model: _Optional[str] = ..., prompt: _Optional[str] = ..., prompt_2: _Optional[str] = ..., negative_prompt: _Optional[str] = ..., negative_prompt_2: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., steps: _Optional[int] = ..., guidance_scale: _Optional[float] = ..., guidance_rescale: _Optional[float] = ..., seed: _Optional[int] = ..., num_images: _Optional[int] = ..., scheduler: _Optional[str] = ..., scheduler_options: _Optional[_Union[SchedulerOptions, _Mapping]] = ..., size_conditioning: _Optional[_Union[SizeConditioning, _Mapping]] = ..., refiner: _Optional[_Union[RefinerStage, _Mapping]] = ..., output: _Optional[_Union[OutputOptions, _Mapping]] = ..., priority: _Optional[_Union[Priority, str]] = ..., acceleration: _Optional[_Union[Acceleration, _Mapping]] = ..., prompt_syntax: _Optional[_Union[PromptSyntax, str]] = ..., request_id: _Optional[str] = ..., on_disconnect: _Optional[_Union[OnDisconnect, str]] = ..., grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., retain: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., stop_at_step: _Optional[int] = ..., wait_for_model: bool = ...) -> None: ...

class RefineRequest(_message.Message):
    __slots__ = ("model", "prompt", "prompt_2", "negative_prompt", "negative_prompt_2", "width", "height", "steps", "guidance_scale", "guidance_rescale", "seed", "num_images", "scheduler", "scheduler_options", "size_conditioning", "refiner", "output", "priority", "acceleration", "prompt_syntax", "request_id", "on_disconnect", "grace", "retain", "stop_at_step", "wait_for_model", "image", "mask", "strength")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_2_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_PROMPT_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_PROMPT_2_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_SCALE_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_RESCALE_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    NUM_IMAGES_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_OPTIONS_FIELD_NUMBER: _ClassVar[int]
    SIZE_CONDITIONING_FIELD_NUMBER: _ClassVar[int]
    REFINER_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    ACCELERATION_FIELD_NUMBER: _ClassVar[int]
    PROMPT_SYNTAX_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ON_DISCONNECT_FIELD_NUMBER: _ClassVar[int]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    RETAIN_FIELD_NUMBER: _ClassVar[int]
    STOP_AT_STEP_FIELD_NUMBER: _ClassVar[int]
    WAIT_FOR_MODEL_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    MASK_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    model: str
    prompt: str
    prompt_2: str
    negative_prompt: str
    negative_prompt_2: str
    width: int
    height: int
    steps: int
    guidance_scale: float
    guidance_rescale: float
    seed: int
    num_images: int
    scheduler: str
    scheduler_options: SchedulerOptions
    size_conditioning: SizeConditioning
    refiner: RefinerStage
    output: OutputOptions
    priority: Priority
    acceleration: Acceleration
    prompt_syntax: PromptSyntax
    request_id: str
    on_disconnect: OnDisconnect
    grace: _duration_pb2.Duration
    retain: _duration_pb2.Duration
    stop_at_step: int
    wait_for_model: bool
    image: bytes
    mask: bytes
    strength: float
    def __init__(self, model: _Optional[str] = ..., prompt: _Optional[str] = ..., prompt_2: _Optional[str] = ..., negative_prompt: _Optional[str] = ..., negative_prompt_2: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., steps: _Optional[int] = ..., guidance_scale: _Optional[float] = ..., guidance_rescale: _Optional[float] = ..., seed: _Optional[int] = ..., num_images: _Optional[int] = ..., scheduler: _Optional[str] = ..., scheduler_options: _Optional[_Union[SchedulerOptions, _Mapping]] = ..., size_conditioning: _Optional[_Union[SizeConditioning, _Mapping]] = ..., refiner: _Optional[_Union[RefinerStage, _Mapping]] = ..., output: _Optional[_Union[OutputOptions, _Mapping]] = ..., priority: _Optional[_Union[Priority, str]] = ..., acceleration: _Optional[_Union[Acceleration, _Mapping]] = ..., prompt_syntax: _Optional[_Union[PromptSyntax, str]] = ..., request_id: _Optional[str] = ..., on_disconnect: _Optional[_Union[OnDisconnect, str]] = ..., grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., retain: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., stop_at_step: _Optional[int] = ..., wait_for_model: bool = ..., image: _Optional[bytes] = ..., mask: _Optional[bytes] = ..., strength: _Optional[float] = ...) -> None: ...

class SchedulerOptions(_message.Message):
    __slots__ = ("use_karras_sigmas", "timestep_spacing", "eta")
    USE_KARRAS_SIGMAS_FIELD_NUMBER: _ClassVar[int]
    TIMESTEP_SPACING_FIELD_NUMBER: _ClassVar[int]
    ETA_FIELD_NUMBER: _ClassVar[int]
    use_karras_sigmas: bool
    timestep_spacing: str
    eta: float
    def __init__(self, use_karras_sigmas: bool = ..., timestep_spacing: _Optional[str] = ..., eta: _Optional[float] = ...) -> None: ...

class SizeConditioning(_message.Message):
    __slots__ = ("original", "crop", "target", "negative_original", "negative_crop", "negative_target", "aesthetic_score", "negative_aesthetic_score")
    ORIGINAL_FIELD_NUMBER: _ClassVar[int]
    CROP_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_ORIGINAL_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_CROP_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_TARGET_FIELD_NUMBER: _ClassVar[int]
    AESTHETIC_SCORE_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_AESTHETIC_SCORE_FIELD_NUMBER: _ClassVar[int]
    original: Size
    crop: Point
    target: Size
    negative_original: Size
    negative_crop: Point
    negative_target: Size
    aesthetic_score: float
    negative_aesthetic_score: float
    def __init__(self, original: _Optional[_Union[Size, _Mapping]] = ..., crop: _Optional[_Union[Point, _Mapping]] = ..., target: _Optional[_Union[Size, _Mapping]] = ..., negative_original: _Optional[_Union[Size, _Mapping]] = ..., negative_crop: _Optional[_Union[Point, _Mapping]] = ..., negative_target: _Optional[_Union[Size, _Mapping]] = ..., aesthetic_score: _Optional[float] = ..., negative_aesthetic_score: _Optional[float] = ...) -> None: ...

class Size(_message.Message):
    __slots__ = ("width", "height")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class Point(_message.Message):
    __slots__ = ("x", "y")
    X_FIELD_NUMBER: _ClassVar[int]
    Y_FIELD_NUMBER: _ClassVar[int]
    x: int
    y: int
    def __init__(self, x: _Optional[int] = ..., y: _Optional[int] = ...) -> None: ...

class RefinerStage(_message.Message):
    __slots__ = ("model", "handoff")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    HANDOFF_FIELD_NUMBER: _ClassVar[int]
    model: str
    handoff: float
    def __init__(self, model: _Optional[str] = ..., handoff: _Optional[float] = ...) -> None: ...

class Acceleration(_message.Message):
    __slots__ = ("deep_cache_interval", "guidance_until", "tiny_decoder")
    DEEP_CACHE_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_UNTIL_FIELD_NUMBER: _ClassVar[int]
    TINY_DECODER_FIELD_NUMBER: _ClassVar[int]
    deep_cache_interval: int
    guidance_until: float
    tiny_decoder: bool
    def __init__(self, deep_cache_interval: _Optional[int] = ..., guidance_until: _Optional[float] = ..., tiny_decoder: bool = ...) -> None: ...

class OutputOptions(_message.Message):
    __slots__ = ("format", "quality")
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    format: ImageFormat
    quality: int
    def __init__(self, format: _Optional[_Union[ImageFormat, str]] = ..., quality: _Optional[int] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("job_id", "images", "timings", "warnings", "acceleration")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    ACCELERATION_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    images: _containers.RepeatedCompositeFieldContainer[Image]
    timings: Timings
    warnings: _containers.RepeatedScalarFieldContainer[str]
    acceleration: Acceleration
    def __init__(self, job_id: _Optional[str] = ..., images: _Optional[_Iterable[_Union[Image, _Mapping]]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., acceleration: _Optional[_Union[Acceleration, _Mapping]] = ...) -> None: ...

class RefineResponse(_message.Message):
    __slots__ = ("job_id", "images", "timings", "warnings", "acceleration")
    JOB_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    ACCELERATION_FIELD_NUMBER: _ClassVar[int]
    job_id: str
    images: _containers.RepeatedCompositeFieldContainer[Image]
    timings: Timings
    warnings: _containers.RepeatedScalarFieldContainer[str]
    acceleration: Acceleration
    def __init__(self, job_id: _Optional[str] = ..., images: _Optional[_Iterable[_Union[Image, _Mapping]]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ..., acceleration: _Optional[_Union[Acceleration, _Mapping]] = ...) -> None: ...

class StreamRequest(_message.Message):
    __slots__ = ("generate", "refine", "preview", "max_image_bytes")
    GENERATE_FIELD_NUMBER: _ClassVar[int]
    REFINE_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    generate: GenerateRequest
    refine: RefineRequest
    preview: PreviewOptions
    max_image_bytes: int
    def __init__(self, generate: _Optional[_Union[GenerateRequest, _Mapping]] = ..., refine: _Optional[_Union[RefineRequest, _Mapping]] = ..., preview: _Optional[_Union[PreviewOptions, _Mapping]] = ..., max_image_bytes: _Optional[int] = ...) -> None: ...

class PreviewOptions(_message.Message):
    __slots__ = ("every_steps", "min_interval", "max_edge", "quality", "decoder")
    EVERY_STEPS_FIELD_NUMBER: _ClassVar[int]
    MIN_INTERVAL_FIELD_NUMBER: _ClassVar[int]
    MAX_EDGE_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    DECODER_FIELD_NUMBER: _ClassVar[int]
    every_steps: int
    min_interval: _duration_pb2.Duration
    max_edge: int
    quality: int
    decoder: PreviewDecoder
    def __init__(self, every_steps: _Optional[int] = ..., min_interval: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., max_edge: _Optional[int] = ..., quality: _Optional[int] = ..., decoder: _Optional[_Union[PreviewDecoder, str]] = ...) -> None: ...

class StreamResponse(_message.Message):
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
    queued: Queued
    started: Started
    progress: Progress
    preview: Preview
    image: Image
    done: Done
    image_part: ImagePart
    rested: Rested
    resumed: Resumed
    def __init__(self, job_id: _Optional[str] = ..., sequence: _Optional[int] = ..., queued: _Optional[_Union[Queued, _Mapping]] = ..., started: _Optional[_Union[Started, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., preview: _Optional[_Union[Preview, _Mapping]] = ..., image: _Optional[_Union[Image, _Mapping]] = ..., done: _Optional[_Union[Done, _Mapping]] = ..., image_part: _Optional[_Union[ImagePart, _Mapping]] = ..., rested: _Optional[_Union[Rested, _Mapping]] = ..., resumed: _Optional[_Union[Resumed, _Mapping]] = ...) -> None: ...

class Queued(_message.Message):
    __slots__ = ("position",)
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: int
    def __init__(self, position: _Optional[int] = ...) -> None: ...

class Started(_message.Message):
    __slots__ = ("model", "width", "height", "steps", "guidance_scale", "scheduler", "seeds", "warnings", "acceleration")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_SCALE_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_FIELD_NUMBER: _ClassVar[int]
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    ACCELERATION_FIELD_NUMBER: _ClassVar[int]
    model: str
    width: int
    height: int
    steps: int
    guidance_scale: float
    scheduler: str
    seeds: _containers.RepeatedScalarFieldContainer[int]
    warnings: _containers.RepeatedScalarFieldContainer[str]
    acceleration: Acceleration
    def __init__(self, model: _Optional[str] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., steps: _Optional[int] = ..., guidance_scale: _Optional[float] = ..., scheduler: _Optional[str] = ..., seeds: _Optional[_Iterable[int]] = ..., warnings: _Optional[_Iterable[str]] = ..., acceleration: _Optional[_Union[Acceleration, _Mapping]] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("image_index", "step", "steps", "model", "step_time")
    IMAGE_INDEX_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STEP_TIME_FIELD_NUMBER: _ClassVar[int]
    image_index: int
    step: int
    steps: int
    model: str
    step_time: _duration_pb2.Duration
    def __init__(self, image_index: _Optional[int] = ..., step: _Optional[int] = ..., steps: _Optional[int] = ..., model: _Optional[str] = ..., step_time: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class Preview(_message.Message):
    __slots__ = ("image_index", "step", "steps", "data", "width", "height", "skipped")
    IMAGE_INDEX_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    image_index: int
    step: int
    steps: int
    data: bytes
    width: int
    height: int
    skipped: int
    def __init__(self, image_index: _Optional[int] = ..., step: _Optional[int] = ..., steps: _Optional[int] = ..., data: _Optional[bytes] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., skipped: _Optional[int] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ("index", "seed", "format", "data", "width", "height", "finished_early_at_step", "receipt")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_EARLY_AT_STEP_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    index: int
    seed: int
    format: ImageFormat
    data: bytes
    width: int
    height: int
    finished_early_at_step: int
    receipt: Receipt
    def __init__(self, index: _Optional[int] = ..., seed: _Optional[int] = ..., format: _Optional[_Union[ImageFormat, str]] = ..., data: _Optional[bytes] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., finished_early_at_step: _Optional[int] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("generate", "refine", "models", "safelight_version", "openvino_version", "processor", "pixels_sha256", "image_sha256", "mask_sha256", "finished_early_at_step", "forked_from")
    GENERATE_FIELD_NUMBER: _ClassVar[int]
    REFINE_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    SAFELIGHT_VERSION_FIELD_NUMBER: _ClassVar[int]
    OPENVINO_VERSION_FIELD_NUMBER: _ClassVar[int]
    PROCESSOR_FIELD_NUMBER: _ClassVar[int]
    PIXELS_SHA256_FIELD_NUMBER: _ClassVar[int]
    IMAGE_SHA256_FIELD_NUMBER: _ClassVar[int]
    MASK_SHA256_FIELD_NUMBER: _ClassVar[int]
    FINISHED_EARLY_AT_STEP_FIELD_NUMBER: _ClassVar[int]
    FORKED_FROM_FIELD_NUMBER: _ClassVar[int]
    generate: GenerateRequest
    refine: RefineRequest
    models: _containers.RepeatedCompositeFieldContainer[ModelSeal]
    safelight_version: str
    openvino_version: str
    processor: str
    pixels_sha256: str
    image_sha256: str
    mask_sha256: str
    finished_early_at_step: int
    forked_from: str
    def __init__(self, generate: _Optional[_Union[GenerateRequest, _Mapping]] = ..., refine: _Optional[_Union[RefineRequest, _Mapping]] = ..., models: _Optional[_Iterable[_Union[ModelSeal, _Mapping]]] = ..., safelight_version: _Optional[str] = ..., openvino_version: _Optional[str] = ..., processor: _Optional[str] = ..., pixels_sha256: _Optional[str] = ..., image_sha256: _Optional[str] = ..., mask_sha256: _Optional[str] = ..., finished_early_at_step: _Optional[int] = ..., forked_from: _Optional[str] = ...) -> None: ...

class ModelSeal(_message.Message):
    __slots__ = ("name", "seal", "precision", "device", "precisions", "surgery")
    class PrecisionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    SEAL_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    PRECISIONS_FIELD_NUMBER: _ClassVar[int]
    SURGERY_FIELD_NUMBER: _ClassVar[int]
    name: str
    seal: str
    precision: str
    device: str
    precisions: _containers.ScalarMap[str, str]
    surgery: str
    def __init__(self, name: _Optional[str] = ..., seal: _Optional[str] = ..., precision: _Optional[str] = ..., device: _Optional[str] = ..., precisions: _Optional[_Mapping[str, str]] = ..., surgery: _Optional[str] = ...) -> None: ...

class Rested(_message.Message):
    __slots__ = ("image_index", "step", "steps", "seed", "data", "width", "height")
    IMAGE_INDEX_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    image_index: int
    step: int
    steps: int
    seed: int
    data: bytes
    width: int
    height: int
    def __init__(self, image_index: _Optional[int] = ..., step: _Optional[int] = ..., steps: _Optional[int] = ..., seed: _Optional[int] = ..., data: _Optional[bytes] = ..., width: _Optional[int] = ..., height: _Optional[int] = ...) -> None: ...

class Resumed(_message.Message):
    __slots__ = ("image_index", "step", "warning")
    IMAGE_INDEX_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    WARNING_FIELD_NUMBER: _ClassVar[int]
    image_index: int
    step: int
    warning: str
    def __init__(self, image_index: _Optional[int] = ..., step: _Optional[int] = ..., warning: _Optional[str] = ...) -> None: ...

class ImagePart(_message.Message):
    __slots__ = ("image", "offset", "total_bytes")
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    image: Image
    offset: int
    total_bytes: int
    def __init__(self, image: _Optional[_Union[Image, _Mapping]] = ..., offset: _Optional[int] = ..., total_bytes: _Optional[int] = ...) -> None: ...

class Done(_message.Message):
    __slots__ = ("timings",)
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    timings: Timings
    def __init__(self, timings: _Optional[_Union[Timings, _Mapping]] = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("queued", "encode", "denoise", "decode", "save", "total")
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    ENCODE_FIELD_NUMBER: _ClassVar[int]
    DENOISE_FIELD_NUMBER: _ClassVar[int]
    DECODE_FIELD_NUMBER: _ClassVar[int]
    SAVE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    queued: _duration_pb2.Duration
    encode: _duration_pb2.Duration
    denoise: _duration_pb2.Duration
    decode: _duration_pb2.Duration
    save: _duration_pb2.Duration
    total: _duration_pb2.Duration
    def __init__(self, queued: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., encode: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., denoise: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., decode: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., save: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., total: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models",)
    MODELS_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("name", "kind", "limits", "defaults", "schedulers", "precision", "device", "has_tiny_decoder", "refiners", "has_deep_cache", "state", "memory_bytes", "precisions")
    class PrecisionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    DEFAULTS_FIELD_NUMBER: _ClassVar[int]
    SCHEDULERS_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    DEVICE_FIELD_NUMBER: _ClassVar[int]
    HAS_TINY_DECODER_FIELD_NUMBER: _ClassVar[int]
    REFINERS_FIELD_NUMBER: _ClassVar[int]
    HAS_DEEP_CACHE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_BYTES_FIELD_NUMBER: _ClassVar[int]
    PRECISIONS_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: ModelKind
    limits: Limits
    defaults: Defaults
    schedulers: _containers.RepeatedScalarFieldContainer[str]
    precision: str
    device: str
    has_tiny_decoder: bool
    refiners: _containers.RepeatedScalarFieldContainer[str]
    has_deep_cache: bool
    state: ModelState
    memory_bytes: int
    precisions: _containers.ScalarMap[str, str]
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[ModelKind, str]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., defaults: _Optional[_Union[Defaults, _Mapping]] = ..., schedulers: _Optional[_Iterable[str]] = ..., precision: _Optional[str] = ..., device: _Optional[str] = ..., has_tiny_decoder: bool = ..., refiners: _Optional[_Iterable[str]] = ..., has_deep_cache: bool = ..., state: _Optional[_Union[ModelState, str]] = ..., memory_bytes: _Optional[int] = ..., precisions: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("min_edge", "max_edge", "edge_multiple", "max_steps", "max_images", "max_prompt_tokens")
    MIN_EDGE_FIELD_NUMBER: _ClassVar[int]
    MAX_EDGE_FIELD_NUMBER: _ClassVar[int]
    EDGE_MULTIPLE_FIELD_NUMBER: _ClassVar[int]
    MAX_STEPS_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGES_FIELD_NUMBER: _ClassVar[int]
    MAX_PROMPT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    min_edge: int
    max_edge: int
    edge_multiple: int
    max_steps: int
    max_images: int
    max_prompt_tokens: int
    def __init__(self, min_edge: _Optional[int] = ..., max_edge: _Optional[int] = ..., edge_multiple: _Optional[int] = ..., max_steps: _Optional[int] = ..., max_images: _Optional[int] = ..., max_prompt_tokens: _Optional[int] = ...) -> None: ...

class Defaults(_message.Message):
    __slots__ = ("width", "height", "steps", "guidance_scale", "scheduler")
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    STEPS_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_SCALE_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_FIELD_NUMBER: _ClassVar[int]
    width: int
    height: int
    steps: int
    guidance_scale: float
    scheduler: str
    def __init__(self, width: _Optional[int] = ..., height: _Optional[int] = ..., steps: _Optional[int] = ..., guidance_scale: _Optional[float] = ..., scheduler: _Optional[str] = ...) -> None: ...
