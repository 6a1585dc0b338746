"""A worker in Python that computes with the global lock held: silent_worker.py LIBFOREBAY BURN.

ctypes.PyDLL, unlike CDLL, keeps Python's lock through every call. So no thread of Python runs while it computes or
waits for a job; only the library's own thread can keep the lease.
"""

import ctypes
import sys
from ctypes import byref, c_char_p, c_double, c_int64, c_size_t, c_void_p

forebay = ctypes.PyDLL(sys.argv[1])
burn = ctypes.PyDLL(sys.argv[2]).burn
burn.argtypes = [c_double]
forebay.forebay_error_message.restype = c_char_p
forebay.forebay_error_message.argtypes = [c_void_p]
forebay.forebay_job_payload.restype = c_void_p
forebay.forebay_job_payload.argtypes = [c_void_p, c_void_p]
forebay.forebay_worker_open.argtypes = [c_char_p, c_void_p, c_void_p, c_void_p]
forebay.forebay_worker_register.argtypes = [c_void_p, c_char_p, c_void_p, c_void_p]
forebay.forebay_worker_receive.argtypes = [c_void_p, c_int64, c_void_p, c_void_p]
forebay.forebay_job_complete.argtypes = [c_void_p, c_char_p, c_size_t, c_void_p]
forebay.forebay_job_free.argtypes = [c_void_p]


def check(status, error):
    """Ends the process when a call failed."""
    if status != 0:
        sys.exit(forebay.forebay_error_message(error) or f"status {status}")


def main():
    """Answers jobs whose payload is a number of seconds, until killed."""
    error, worker, job, length = c_void_p(), c_void_p(), c_void_p(), c_size_t()
    check(forebay.forebay_worker_open(None, None, byref(worker), byref(error)), error)
    check(forebay.forebay_worker_register(worker, b"silent", None, byref(error)), error)
    while True:
        check(forebay.forebay_worker_receive(worker, -1, byref(job), byref(error)), error)
        payload = forebay.forebay_job_payload(job, byref(length))
        burn(float(ctypes.string_at(payload, length.value)))
        check(forebay.forebay_job_complete(job, b"done", 4, byref(error)), error)
        forebay.forebay_job_free(job)


main()
