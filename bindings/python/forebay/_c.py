"""The numbers, structures and functions of forebay.h as ctypes wants them.

Made from include/forebay.h; `FOREBAY_BLESS=1 cargo test --test python_binding` writes it anew.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char, c_char_p, c_double, c_int32, c_int64, c_size_t, c_uint8, c_uint32, c_uint64, c_void_p
from typing import Any, Dict, Tuple

VERSION = "0.1.0"
VERSION_MAJOR = 0
VERSION_MINOR = 1
VERSION_PATCH = 0
VERSION_NUMBER = 1000
ABI = 0
OK = 0
TIMED_OUT = 1
INTERRUPTED = 2
DRAINED = 3
ERR_ARGUMENT = -1
ERR_OPTION = -2
ERR_STATE = -3
ERR_CLOSED = -4
ERR_FORKED = -5
ERR_LEASE_LOST = -6
ERR_TOO_LARGE = -7
ERR_BUSY = -8
ERR_ADDRESS = -9
ERR_IN_USE = -10
ERR_PROTOCOL = -11
ERR_DENIED = -12
ERR_IO = -13
ERR_STORE = -14
ERR_UNSUPPORTED = -15
ERR_NOT_FOUND = -16
ERR_CYCLE = -17
ERR_MEMORY = -18
ERR_PANIC = -19
ERR_CONFLICT = -20
ERR_UNCONFIRMED = -21
ERR_TOO_OLD = -22
ERR_STORE_FULL = -23
OUTCOME_WAITING = 0
OUTCOME_RUNNING = 1
OUTCOME_DONE = 2
OUTCOME_FAILED = 3
OUTCOME_TIMED_OUT = 4
OUTCOME_CANCELLED = 5
OUTCOME_EXPIRED = 6
OUTCOME_QUARANTINED = 7
OUTCOME_REJECTED = 8
OUTCOME_LOST = 9
KIND_ACCEPTED = 1
KIND_REFUSED = 2
KIND_PROGRESS = 3
KIND_PARTIAL = 4
KIND_RESULT = 5
STATE_CONNECTING = 0
STATE_READY = 1
STATE_DRAINING = 2
STATE_REFUSED = 3
STATE_CLOSED = 4
STOP_CANCELLED = 1
STOP_LEASE_LOST = 2
STOP_RUN_TIME = 4
HINT_DRAINING = 1
HINT_SOFT_LIMIT = 2
RETRY_POLICY = -1
RETRY_NEVER = -2
FOREVER = -1
LOG_ERROR = 1
LOG_WARN = 2
LOG_INFO = 3
LOG_DEBUG = 4
LOG_TRACE = 5
ID_TEXT_CAP = 37
STEP_OPEN = 1
STEP_EACH = 2
STEP_COLLECT = 4
STEP_CONTINUE = 8
NEED_RESULT = 1
COLLECT_IN_ORDER = 1
PLUGIN_ABI = 1


class forebay_error_t(ctypes.Structure):
    pass


class forebay_id_t(ctypes.Structure):
    _fields_ = [
        ("bytes", c_uint8 * 16),
    ]


class forebay_options_t(ctypes.Structure):
    pass


class forebay_buffer_t(ctypes.Structure):
    pass


class forebay_frame_t(ctypes.Structure):
    _fields_ = [
        ("data", c_void_p),
        ("len", c_size_t),
    ]


class forebay_header_t(ctypes.Structure):
    _fields_ = [
        ("name", c_char_p),
        ("data", c_void_p),
        ("len", c_size_t),
    ]


class forebay_submit_t(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("id", POINTER(forebay_id_t)),
        ("queue", c_char_p),
        ("payload", c_void_p),
        ("payload_len", c_size_t),
        ("frames", POINTER(forebay_frame_t)),
        ("frames_len", c_size_t),
        ("buffer", POINTER(forebay_buffer_t)),
        ("headers", POINTER(forebay_header_t)),
        ("headers_len", c_size_t),
        ("options", POINTER(forebay_options_t)),
        ("delay_ms", c_int64),
        ("queue_ms", c_int64),
        ("run_ms", c_int64),
        ("deadline_ms", c_int64),
        ("attempts", c_uint32),
        ("priority", c_uint32),
        ("tag", c_uint64),
        ("want", c_uint32),
        ("reserved", c_uint32),
    ]


class forebay_pipeline_t(ctypes.Structure):
    pass


class forebay_result_t(ctypes.Structure):
    pass


class forebay_result_view_t(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("id", forebay_id_t),
        ("outcome", c_int32),
        ("attempt", c_uint32),
        ("data", c_void_p),
        ("data_len", c_size_t),
        ("code", c_char_p),
        ("message", c_char_p),
        ("detail", c_char_p),
        ("progress", c_double),
        ("frames", c_uint32),
        ("kind", c_int32),
        ("tag", c_uint64),
        ("sequence", c_uint64),
        ("headers", c_uint32),
        ("status", c_int32),
        ("retry_after_ms", c_int64),
    ]


class forebay_client_t(ctypes.Structure):
    pass


class forebay_collector_t(ctypes.Structure):
    pass


class forebay_job_t(ctypes.Structure):
    pass


class forebay_job_view_t(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_size_t),
        ("id", forebay_id_t),
        ("queue", c_char_p),
        ("payload", c_void_p),
        ("payload_len", c_size_t),
        ("frames", c_uint32),
        ("attempt", c_uint32),
        ("attempts_max", c_uint32),
        ("headers", c_uint32),
        ("time_left_ms", c_int64),
    ]


class forebay_worker_t(ctypes.Structure):
    pass


class forebay_plugin_t(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("abi", c_uint32),
        ("name", c_char_p),
        ("version", c_char_p),
        ("queues", POINTER(c_char_p)),
        ("params", POINTER(c_char_p)),
        ("process_init", c_void_p),
        ("process_fini", c_void_p),
        ("thread_init", c_void_p),
        ("thread_fini", c_void_p),
        ("handle", c_void_p),
        ("retrieve", c_void_p),
        ("save", c_void_p),
    ]


class forebay_broker_t(ctypes.Structure):
    pass


forebay_log_fn = ctypes.CFUNCTYPE(None, c_void_p, c_int32, c_char_p, c_char_p)


# Each function with what it answers and what it takes.
FUNCTIONS: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {
    "forebay_version": (c_char_p, ()),
    "forebay_version_number": (c_uint32, ()),
    "forebay_abi": (c_uint32, ()),
    "forebay_has": (c_int32, (c_char_p,)),
    "forebay_status_name": (c_char_p, (c_int32,)),
    "forebay_status_text": (c_char_p, (c_int32,)),
    "forebay_outcome_name": (c_char_p, (c_int32,)),
    "forebay_error_new": (POINTER(forebay_error_t), (c_int32, c_char_p)),
    "forebay_error_status": (c_int32, (POINTER(forebay_error_t),)),
    "forebay_error_message": (c_char_p, (POINTER(forebay_error_t),)),
    "forebay_error_retryable": (c_int32, (POINTER(forebay_error_t),)),
    "forebay_error_retry_after_ms": (c_int64, (POINTER(forebay_error_t),)),
    "forebay_error_free": (None, (POINTER(forebay_error_t),)),
    "forebay_id_new": (c_int32, (POINTER(forebay_id_t),)),
    "forebay_id_text": (c_size_t, (POINTER(forebay_id_t), POINTER(c_char), c_size_t)),
    "forebay_id_parse": (c_int32, (c_char_p, POINTER(forebay_id_t))),
    "forebay_options_new": (POINTER(forebay_options_t), ()),
    "forebay_options_free": (None, (POINTER(forebay_options_t),)),
    "forebay_options_load": (c_int32, (POINTER(forebay_options_t), c_char_p, POINTER(POINTER(forebay_error_t)))),
    "forebay_options_set": (
        c_int32,
        (
            POINTER(forebay_options_t),
            c_char_p,
            c_char_p,
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_options_set_int": (
        c_int32,
        (
            POINTER(forebay_options_t),
            c_char_p,
            c_int64,
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_options_set_bytes": (
        c_int32,
        (
            POINTER(forebay_options_t),
            c_char_p,
            c_void_p,
            c_size_t,
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_options_unset": (c_int32, (POINTER(forebay_options_t), c_char_p, POINTER(POINTER(forebay_error_t)))),
    "forebay_options_get": (
        c_int32,
        (
            POINTER(forebay_options_t),
            c_char_p,
            POINTER(c_char),
            c_size_t,
            POINTER(c_size_t),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_option_at": (
        c_int32,
        (
            c_size_t,
            POINTER(c_char_p),
            POINTER(c_char_p),
            POINTER(c_char_p),
            POINTER(c_char_p),
        ),
    ),
    "forebay_buffer_new": (
        c_int32,
        (
            c_size_t,
            POINTER(POINTER(forebay_buffer_t)),
            POINTER(c_void_p),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_buffer_free": (None, (POINTER(forebay_buffer_t),)),
    "forebay_pipeline_new": (
        c_int32,
        (
            c_char_p,
            POINTER(POINTER(forebay_pipeline_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_pipeline_step": (
        c_int32,
        (
            POINTER(forebay_pipeline_t),
            c_char_p,
            POINTER(forebay_submit_t),
            c_uint32,
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_pipeline_after": (
        c_int32,
        (
            POINTER(forebay_pipeline_t),
            c_char_p,
            c_char_p,
            c_uint32,
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_pipeline_hold": (c_int32, (POINTER(forebay_pipeline_t), POINTER(POINTER(forebay_error_t)))),
    "forebay_pipeline_dot": (c_size_t, (POINTER(forebay_pipeline_t), POINTER(c_char), c_size_t)),
    "forebay_pipeline_free": (None, (POINTER(forebay_pipeline_t),)),
    "forebay_result_view": (c_int32, (POINTER(forebay_result_t), POINTER(forebay_result_view_t))),
    "forebay_result_frame": (c_void_p, (POINTER(forebay_result_t), c_uint32, POINTER(c_size_t))),
    "forebay_result_header_at": (
        c_int32,
        (
            POINTER(forebay_result_t),
            c_uint32,
            POINTER(c_char_p),
            POINTER(c_void_p),
            POINTER(c_size_t),
        ),
    ),
    "forebay_result_meta": (c_char_p, (POINTER(forebay_result_t),)),
    "forebay_result_free": (None, (POINTER(forebay_result_t),)),
    "forebay_client_open": (
        c_int32,
        (
            c_char_p,
            POINTER(forebay_options_t),
            POINTER(POINTER(forebay_client_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_client_ready": (c_int32, (POINTER(forebay_client_t), c_int64, POINTER(POINTER(forebay_error_t)))),
    "forebay_client_state": (c_int32, (POINTER(forebay_client_t),)),
    "forebay_client_submit": (
        c_int32,
        (
            POINTER(forebay_client_t),
            POINTER(forebay_submit_t),
            c_size_t,
            c_int64,
            POINTER(forebay_id_t),
            POINTER(c_size_t),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_client_run": (
        c_int32,
        (
            POINTER(forebay_client_t),
            POINTER(forebay_pipeline_t),
            POINTER(forebay_submit_t),
            c_int64,
            POINTER(forebay_id_t),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_run_context": (
        c_int32,
        (
            POINTER(forebay_client_t),
            POINTER(forebay_id_t),
            c_void_p,
            c_size_t,
            c_int64,
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_client_enqueue": (
        c_int32,
        (
            POINTER(forebay_client_t),
            POINTER(forebay_submit_t),
            c_size_t,
            POINTER(forebay_id_t),
            POINTER(c_size_t),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_client_flush": (c_int32, (POINTER(forebay_client_t), c_int64, POINTER(POINTER(forebay_error_t)))),
    "forebay_client_call": (
        c_int32,
        (
            POINTER(forebay_client_t),
            POINTER(forebay_submit_t),
            c_int64,
            POINTER(forebay_id_t),
            POINTER(POINTER(forebay_result_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_client_wait": (
        c_int32,
        (
            POINTER(forebay_client_t),
            POINTER(forebay_id_t),
            c_int64,
            POINTER(POINTER(forebay_result_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_client_wait_many": (
        c_int32,
        (
            POINTER(forebay_client_t),
            POINTER(forebay_id_t),
            c_size_t,
            c_size_t,
            c_int64,
            POINTER(POINTER(forebay_result_t)),
            POINTER(c_size_t),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_client_next": (
        c_int32,
        (
            POINTER(forebay_client_t),
            c_int64,
            POINTER(POINTER(forebay_result_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_client_next_many": (
        c_int32,
        (
            POINTER(forebay_client_t),
            c_int64,
            POINTER(POINTER(forebay_result_t)),
            c_size_t,
            POINTER(c_size_t),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_client_peek": (
        c_int32,
        (
            POINTER(forebay_client_t),
            POINTER(forebay_id_t),
            c_int64,
            POINTER(POINTER(forebay_result_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_client_ack": (
        c_int32,
        (
            POINTER(forebay_client_t),
            POINTER(forebay_id_t),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_client_cancel": (
        c_int32,
        (
            POINTER(forebay_client_t),
            POINTER(forebay_id_t),
            c_char_p,
            c_int64,
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_client_wait_workers": (
        c_int32,
        (
            POINTER(forebay_client_t),
            c_char_p,
            c_uint32,
            c_int64,
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_client_admin": (
        c_int32,
        (
            POINTER(forebay_client_t),
            c_char_p,
            POINTER(forebay_options_t),
            c_int64,
            POINTER(POINTER(forebay_result_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_command_at": (c_int32, (c_size_t, POINTER(c_char_p), POINTER(c_char_p), POINTER(c_char_p))),
    "forebay_client_stats": (
        c_int32,
        (
            POINTER(forebay_client_t),
            POINTER(POINTER(forebay_result_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_client_fd": (c_int64, (POINTER(forebay_client_t),)),
    "forebay_client_interrupt": (c_int32, (POINTER(forebay_client_t),)),
    "forebay_client_free": (None, (POINTER(forebay_client_t),)),
    "forebay_stage_add": (
        c_int32,
        (
            POINTER(forebay_client_t),
            POINTER(forebay_id_t),
            c_char_p,
            POINTER(forebay_submit_t),
            c_size_t,
            c_int64,
            POINTER(forebay_id_t),
            POINTER(c_size_t),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_stage_close": (
        c_int32,
        (
            POINTER(forebay_client_t),
            POINTER(forebay_id_t),
            c_char_p,
            c_int64,
            c_int64,
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_stage_acked": (
        c_int32,
        (
            POINTER(forebay_client_t),
            POINTER(forebay_id_t),
            c_char_p,
            c_uint64,
            c_int64,
            POINTER(POINTER(forebay_result_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_collector_open": (
        c_int32,
        (
            POINTER(forebay_client_t),
            POINTER(forebay_id_t),
            c_char_p,
            c_char_p,
            c_uint32,
            POINTER(POINTER(forebay_collector_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_collector_next": (
        c_int32,
        (
            POINTER(forebay_collector_t),
            c_int64,
            POINTER(POINTER(forebay_result_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_collector_ack": (
        c_int32,
        (
            POINTER(forebay_collector_t),
            POINTER(forebay_id_t),
            c_void_p,
            c_size_t,
            c_int64,
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_collector_context": (c_size_t, (POINTER(forebay_collector_t), c_void_p, c_size_t)),
    "forebay_collector_free": (None, (POINTER(forebay_collector_t),)),
    "forebay_job_view": (c_int32, (POINTER(forebay_job_t), POINTER(forebay_job_view_t))),
    "forebay_job_payload": (c_void_p, (POINTER(forebay_job_t), POINTER(c_size_t))),
    "forebay_job_frame": (c_void_p, (POINTER(forebay_job_t), c_uint32, POINTER(c_size_t))),
    "forebay_job_header": (c_void_p, (POINTER(forebay_job_t), c_char_p, POINTER(c_size_t))),
    "forebay_job_context": (c_void_p, (POINTER(forebay_job_t), POINTER(c_size_t))),
    "forebay_job_header_at": (
        c_int32,
        (
            POINTER(forebay_job_t),
            c_uint32,
            POINTER(c_char_p),
            POINTER(c_void_p),
            POINTER(c_size_t),
        ),
    ),
    "forebay_job_stop": (c_uint32, (POINTER(forebay_job_t),)),
    "forebay_job_stop_flag": (POINTER(c_uint32), (POINTER(forebay_job_t),)),
    "forebay_job_hints": (c_uint32, (POINTER(forebay_job_t),)),
    "forebay_job_progress": (c_uint32, (POINTER(forebay_job_t), c_double, c_char_p)),
    "forebay_job_send": (
        c_int32,
        (
            POINTER(forebay_job_t),
            c_void_p,
            c_size_t,
            c_int64,
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_job_set_header": (
        c_int32,
        (
            POINTER(forebay_job_t),
            c_char_p,
            c_void_p,
            c_size_t,
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_job_complete": (c_int32, (POINTER(forebay_job_t), c_void_p, c_size_t, POINTER(POINTER(forebay_error_t)))),
    "forebay_job_complete_frames": (
        c_int32,
        (
            POINTER(forebay_job_t),
            POINTER(forebay_frame_t),
            c_size_t,
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_job_complete_buffer": (
        c_int32,
        (
            POINTER(forebay_job_t),
            POINTER(forebay_buffer_t),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_job_fail": (
        c_int32,
        (
            POINTER(forebay_job_t),
            c_int64,
            c_char_p,
            c_char_p,
            c_char_p,
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_job_release": (c_int32, (POINTER(forebay_job_t), c_int64, POINTER(POINTER(forebay_error_t)))),
    "forebay_job_free": (None, (POINTER(forebay_job_t),)),
    "forebay_job_new_test": (
        c_int32,
        (
            POINTER(forebay_submit_t),
            POINTER(POINTER(forebay_job_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_job_test_result": (
        c_int32,
        (
            POINTER(forebay_job_t),
            POINTER(POINTER(forebay_result_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_worker_open": (
        c_int32,
        (
            c_char_p,
            POINTER(forebay_options_t),
            POINTER(POINTER(forebay_worker_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_worker_register": (
        c_int32,
        (
            POINTER(forebay_worker_t),
            c_char_p,
            POINTER(forebay_options_t),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_worker_unregister": (c_int32, (POINTER(forebay_worker_t), c_char_p, POINTER(POINTER(forebay_error_t)))),
    "forebay_worker_receive": (
        c_int32,
        (
            POINTER(forebay_worker_t),
            c_int64,
            POINTER(POINTER(forebay_job_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_worker_receive_many": (
        c_int32,
        (
            POINTER(forebay_worker_t),
            c_int64,
            POINTER(POINTER(forebay_job_t)),
            c_size_t,
            POINTER(c_size_t),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_worker_stop": (None, (POINTER(forebay_worker_t),)),
    "forebay_worker_drain": (c_int32, (POINTER(forebay_worker_t), c_int64, POINTER(POINTER(forebay_error_t)))),
    "forebay_worker_ready": (c_int32, (POINTER(forebay_worker_t), c_int64, POINTER(POINTER(forebay_error_t)))),
    "forebay_worker_state": (c_int32, (POINTER(forebay_worker_t),)),
    "forebay_worker_stats": (
        c_int32,
        (
            POINTER(forebay_worker_t),
            POINTER(POINTER(forebay_result_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_worker_fd": (c_int64, (POINTER(forebay_worker_t),)),
    "forebay_worker_interrupt": (c_int32, (POINTER(forebay_worker_t),)),
    "forebay_worker_free": (None, (POINTER(forebay_worker_t),)),
    "forebay_host_run": (c_int32, (POINTER(forebay_options_t), POINTER(POINTER(forebay_error_t)))),
    "forebay_host_stop": (None, ()),
    "forebay_host_test": (
        c_int32,
        (
            POINTER(forebay_options_t),
            POINTER(forebay_submit_t),
            POINTER(POINTER(forebay_result_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_broker_start": (
        c_int32,
        (
            POINTER(forebay_options_t),
            POINTER(POINTER(forebay_broker_t)),
            POINTER(POINTER(forebay_error_t)),
        ),
    ),
    "forebay_broker_endpoint": (c_char_p, (POINTER(forebay_broker_t), c_uint32)),
    "forebay_broker_wait": (c_int32, (POINTER(forebay_broker_t), c_int64, POINTER(POINTER(forebay_error_t)))),
    "forebay_broker_drain": (c_int32, (POINTER(forebay_broker_t), c_int64, POINTER(POINTER(forebay_error_t)))),
    "forebay_broker_stop": (c_int32, (POINTER(forebay_broker_t), c_int64, POINTER(POINTER(forebay_error_t)))),
    "forebay_broker_free": (None, (POINTER(forebay_broker_t),)),
    "forebay_log_set": (c_int32, (c_char_p, forebay_log_fn, c_void_p)),
    "forebay_log_next": (c_int32, (c_int64, POINTER(c_int32), POINTER(c_char), c_size_t, POINTER(c_size_t))),
}
