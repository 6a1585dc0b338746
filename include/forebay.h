/* forebay: a job broker over ZeroMQ. This is the C interface of its clients, workers and embedded brokers.
 *
 * Made from src/ffi by cbindgen; `FOREBAY_BLESS=1 cargo test --test header` writes it anew. SPDX-License-Identifier:
 * MIT OR Apache-2.0
 *
 * How to read it
 *
 *   Handles. Every object is opaque, made by _open, _new or _start, and given back by its _free, for which NULL is
 *   nothing. No function consumes an argument. Objects that came from a handle stay valid memory when the handle is
 *   gone, and calls on them answer FOREBAY_ERR_CLOSED; the order of freeing does not matter.
 *
 *   Statuses. 0 is done; above 0 nothing is wrong and there is nothing to hand over; below 0 the call was not carried
 *   out. A function that fails writes a new error to `*err`, unless `err` is NULL; the caller frees it. Nothing is
 *   written to `*err` otherwise.
 *
 *   Arguments. Text is UTF-8 and ends with a NUL; other bytes come with a length and are copied, unless a text says
 *   otherwise. A pointer may be NULL only where its function says so; any other NULL, text that is not UTF-8, and a
 *   number that means nothing are FOREBAY_ERR_ARGUMENT. Outputs are written only with FOREBAY_OK, unless a text says
 *   otherwise. Getters answer NULL or 0 for an object of NULL.
 *
 *   Threads. Where a text does not say otherwise, a function may be called by any thread, by many at once, on the same
 *   handle. Library threads block all signals, and no handler of the program is touched.
 *
 *   Structures. forebay_id_t, forebay_frame_t and forebay_header_t never change. The others begin with `struct_size` and
 *   grow only at their ends: set everything to 0, then struct_size.
 *
 *   Fork. In a child, handles of the parent answer FOREBAY_ERR_FORKED, _free forgets them, and new ones may be opened.
 *
 *   Faults inside the library are contained: the call answers FOREBAY_ERR_PANIC. Only the end of memory, and what
 *   libzmq itself finds broken, end the process.
 *
 * A worker in full is examples-c/hello_worker.c, a client examples-c/hello_client.c. */

#ifndef FOREBAY_H
#define FOREBAY_H

#include <stddef.h>
#include <stdint.h>

/** Defined by a program that wants other linkage of the functions, such as __declspec(dllimport). */
#ifndef FOREBAY_API
#define FOREBAY_API
#endif

#ifdef __cplusplus
extern "C" {
#endif


/* ---- Version -------------------------------------------------------------------------------------------------
 *
 * FOREBAY_VERSION and its parts say what the program was compiled with, the functions what it runs with. They may
 * differ: a shared library of the same FOREBAY_ABI serves programs compiled with any version of it. */

/** The version this program is compiled with. */
#define FOREBAY_VERSION "0.1.0"
#define FOREBAY_VERSION_MAJOR 0
#define FOREBAY_VERSION_MINOR 1
#define FOREBAY_VERSION_PATCH 0
/** The same as forebay_version_number says it. */
#define FOREBAY_VERSION_NUMBER 1000
/** The binary interface; see forebay_abi. */
#define FOREBAY_ABI 0

/**
 * The library's version, such as "0.1.0".
 *
 * Any thread. The text lives for ever.
 */
FOREBAY_API const char *forebay_version(void);

/**
 * The library's version as major * 1000000 + minor * 1000 + patch.
 *
 * Any thread.
 */
FOREBAY_API uint32_t forebay_version_number(void);

/**
 * The number of the binary interface, as in the library's SONAME: 0 until version 1.0, then the major version.
 *
 * Any thread.
 */
FOREBAY_API uint32_t forebay_abi(void);

/**
 * Whether this build has a feature: 1 it has, 0 it has not or does not know the word.
 *
 * Words: "broker" (brokers can be embedded), "curve" (connections can be encrypted), "ipc", "tcp", "inproc", "ipv6",
 * "store" (jobs can be kept on disk).
 *
 * Any thread. A `feature` of NULL is 0.
 */
FOREBAY_API int32_t forebay_has(const char *feature);


/* ---- Statuses, outcomes and other numbers --------------------------------------------------------------------
 *
 * A call answers 0 when it is done, a number above 0 when nothing is wrong but there is nothing to hand over (only from
 * receive, next and the waits), and a number below 0 when it was not carried out. A call's status and a job's outcome
 * are two things: waiting for a job that failed is a successful wait. Numbers never change and are never used again. */

/** Done. */
#define FOREBAY_OK 0
/** The time given was over and there was nothing to hand over. */
#define FOREBAY_TIMED_OUT 1
/** The wait was ended by interrupt. */
#define FOREBAY_INTERRUPTED 2
/** There is nothing more to come. */
#define FOREBAY_DRAINED 3
/** An argument is wrong. */
#define FOREBAY_ERR_ARGUMENT (-1)
/** An option's key or value is wrong. */
#define FOREBAY_ERR_OPTION (-2)
/** The object or the job is not in a state that allows this. */
#define FOREBAY_ERR_STATE (-3)
/** The handle is closed. */
#define FOREBAY_ERR_CLOSED (-4)
/** The handle belongs to the parent process; open another one in the child. */
#define FOREBAY_ERR_FORKED (-5)
/** The job is no longer this worker's, so the answer does not count. */
#define FOREBAY_ERR_LEASE_LOST (-6)
/** Larger than the limit allows. */
#define FOREBAY_ERR_TOO_LARGE (-7)
/** No room now; try again later. */
#define FOREBAY_ERR_BUSY (-8)
/** Not an address that can be used. */
#define FOREBAY_ERR_ADDRESS (-9)
/** The address or the store is in use. */
#define FOREBAY_ERR_IN_USE (-10)
/** The other side does not speak a protocol version this side knows. */
#define FOREBAY_ERR_PROTOCOL (-11)
/** The broker does not allow this. */
#define FOREBAY_ERR_DENIED (-12)
/** Input or output failed. */
#define FOREBAY_ERR_IO (-13)
/** The store failed. */
#define FOREBAY_ERR_STORE (-14)
/** Not supported here. */
#define FOREBAY_ERR_UNSUPPORTED (-15)
/** Unknown. */
#define FOREBAY_ERR_NOT_FOUND (-16)
/** The graph has a cycle. */
#define FOREBAY_ERR_CYCLE (-17)
/** Out of memory. */
#define FOREBAY_ERR_MEMORY (-18)
/** A fault inside the library was contained. */
#define FOREBAY_ERR_PANIC (-19)
/** The id is in use with other content. */
#define FOREBAY_ERR_CONFLICT (-20)
/** The broker did not answer in time; the job may exist, submit the same id again. */
#define FOREBAY_ERR_UNCONFIRMED (-21)
/** The id is older than the broker remembers; the job may have run. */
#define FOREBAY_ERR_TOO_OLD (-22)
/** The store has no room now; try again later. */
#define FOREBAY_ERR_STORE_FULL (-23)

/** Delayed, held or queued. */
#define FOREBAY_OUTCOME_WAITING 0
/** A worker has begun it. */
#define FOREBAY_OUTCOME_RUNNING 1
/** The worker's result was accepted. */
#define FOREBAY_OUTCOME_DONE 2
/** The worker answered that it failed, and no retry is left. */
#define FOREBAY_OUTCOME_FAILED 3
/** The last attempt was ended by its run timeout or by stalling. */
#define FOREBAY_OUTCOME_TIMED_OUT 4
/** Cancelled; no result will ever count. */
#define FOREBAY_OUTCOME_CANCELLED 5
/** Its queue timeout or its deadline passed. */
#define FOREBAY_OUTCOME_EXPIRED 6
/** It took workers down twice; it waits for a person. */
#define FOREBAY_OUTCOME_QUARANTINED 7
/** Accepted, then refused by a rule. */
#define FOREBAY_OUTCOME_REJECTED 8
/** Its last attempt's worker vanished, or it was volatile and went with its broker. */
#define FOREBAY_OUTCOME_LOST 9

/** A kind of news about a job (1u << kind is its bit in `want`): the broker holds the job at the level asked. */
#define FOREBAY_KIND_ACCEPTED 1
/** The broker did not take the job; code and message say why. */
#define FOREBAY_KIND_REFUSED 2
/** The worker told how far it is. Only the latest is kept. */
#define FOREBAY_KIND_PROGRESS 3
/** A partial result. */
#define FOREBAY_KIND_PARTIAL 4
/** The job has ended. */
#define FOREBAY_KIND_RESULT 5

/** The handle has no broker yet, or none at the moment, and keeps trying. */
#define FOREBAY_STATE_CONNECTING 0
/** The broker has welcomed it. */
#define FOREBAY_STATE_READY 1
/** It was stopped, or the broker is going down. */
#define FOREBAY_STATE_DRAINING 2
/** The broker does not want it, for good; every later call says why. */
#define FOREBAY_STATE_REFUSED 3
/** It is closed. */
#define FOREBAY_STATE_CLOSED 4

/** A stop bit of a job: its client cancelled it. */
#define FOREBAY_STOP_CANCELLED 1
/** A stop bit of a job: another worker holds it now. */
#define FOREBAY_STOP_LEASE_LOST 2
/** A stop bit of a job: its run time is over. */
#define FOREBAY_STOP_RUN_TIME 4

/** A hint to a job, which goes on: the worker or the broker is going down after it. */
#define FOREBAY_HINT_DRAINING 1
/** A hint to a job, which goes on: it is past its soft limit. */
#define FOREBAY_HINT_SOFT_LIMIT 2

/** forebay_job_fail's `retry_ms`: as the job's rules say. */
#define FOREBAY_RETRY_POLICY (-1)
/** forebay_job_fail's `retry_ms`: no further attempt. */
#define FOREBAY_RETRY_NEVER (-2)

/** A `timeout_ms` without an end. Any number below 0 means the same. */
#define FOREBAY_FOREVER (-1)

/** A level of the log: something failed and is not going to mend itself. */
#define FOREBAY_LOG_ERROR 1
/** A level of the log: something is not as it should be. */
#define FOREBAY_LOG_WARN 2
/** A level of the log: what an operator wants to know of a healthy system. */
#define FOREBAY_LOG_INFO 3
/** A level of the log: each job. */
#define FOREBAY_LOG_DEBUG 4
/** A level of the log: each packet. */
#define FOREBAY_LOG_TRACE 5

/** What a call answers. */
typedef int32_t forebay_status_t;

/**
 * A status's name without its prefix, such as "ERR_BUSY"; "UNKNOWN" for a number that is none.
 *
 * Any thread. The text lives for ever.
 */
FOREBAY_API const char *forebay_status_name(forebay_status_t status);

/**
 * What a status means, as a part of a sentence; "not a status" for a number that is none.
 *
 * Any thread. The text lives for ever.
 */
FOREBAY_API const char *forebay_status_text(forebay_status_t status);

/**
 * An outcome's name without its prefix, such as "CANCELLED"; "UNKNOWN" for a number that is none.
 *
 * Any thread. The text lives for ever.
 */
FOREBAY_API const char *forebay_outcome_name(int32_t outcome);


/* ---- Errors --------------------------------------------------------------------------------------------------
 *
 * A call that answers below 0 makes an error that says what was wrong, with which value, and what would be right. It
 * belongs to the caller, who frees it. A caller who passes NULL for `err` has the status alone. Nothing is kept per
 * thread. */

/** Why a call was not carried out. Never changes; any number of threads may read it at once. */
typedef struct forebay_error_t forebay_error_t;

/**
 * Makes an error, for layers above this library that report in the same way. `message` may be NULL: then it is the
 * status's text. A `status` that is not one below 0 counts as FOREBAY_ERR_ARGUMENT.
 *
 * Any thread. The caller frees it by forebay_error_free. NULL when `message` is not UTF-8.
 */
FOREBAY_API forebay_error_t *forebay_error_new(forebay_status_t status, const char *message);

/**
 * The status, the same as the call answered. 0 for an `error` of NULL.
 *
 * Any thread.
 */
FOREBAY_API forebay_status_t forebay_error_status(const forebay_error_t *error);

/**
 * One sentence for people, UTF-8. NULL for an `error` of NULL.
 *
 * Any thread. The text lives as long as the error.
 */
FOREBAY_API const char *forebay_error_message(const forebay_error_t *error);

/**
 * Whether the same call may succeed later, unchanged: 1 or 0. 0 for an `error` of NULL.
 *
 * Any thread.
 */
FOREBAY_API int32_t forebay_error_retryable(const forebay_error_t *error);

/**
 * After how many milliseconds trying again makes sense, where the broker has said so; -1 where it has not, and for
 * an `error` of NULL.
 *
 * Any thread.
 */
FOREBAY_API int64_t forebay_error_retry_after_ms(const forebay_error_t *error);

/**
 * Frees an error. An `error` of NULL is nothing.
 *
 * Any thread; nobody else may use the error any more.
 */
FOREBAY_API void forebay_error_free(forebay_error_t *error);


/* ---- Ids -----------------------------------------------------------------------------------------------------
 *
 * A job's id is a UUID of version 7 (RFC 9562), made on the client's side. Submitting the same id with the same content
 * again is the same job, so a program that does not know whether a job was taken submits it again. */

/** Bytes of an id's text with its NUL. */
#define FOREBAY_ID_TEXT_CAP 37

/** A job's id: 16 bytes in network byte order. This structure is frozen. */
typedef struct {
    /** The bytes, the first 6 the Unix time in milliseconds. */
    uint8_t bytes[16];
} forebay_id_t;

/**
 * Makes an id by the local clock, greater than any this process made before.
 *
 * FOREBAY_ERR_IO when the system has no random bytes. Any thread.
 */
FOREBAY_API forebay_status_t forebay_id_new(forebay_id_t *id);

/**
 * Writes an id as text, such as "0198c0de-7a5b-7c1d-8e2f-0123456789ab", with its NUL, into `buf` of `cap` bytes; less of
 * it, still with a NUL, where `cap` is too small. FOREBAY_ID_TEXT_CAP bytes are enough.
 *
 * Answers the bytes of the whole text without its NUL: 36. 0 for an `id` of NULL. `buf` may be NULL with a `cap` of 0.
 *
 * Any thread.
 */
FOREBAY_API
size_t forebay_id_text(const forebay_id_t *id,
                       char *buf,
                       size_t cap);

/**
 * Reads an id from its text of 36 characters; upper case is read too.
 *
 * FOREBAY_ERR_ARGUMENT when it is none. Any thread.
 */
FOREBAY_API forebay_status_t forebay_id_parse(const char *text, forebay_id_t *id);


/* ---- Options -------------------------------------------------------------------------------------------------
 *
 * Text keys such as "client.window_jobs", checked as they are set, read once by the call they are given to. One object
 * may be given to any number of calls, of all kinds: each reads the keys of its own family. docs/OPTIONS.md and
 * forebay_option_at list every key. What is not set comes from the environment (FOREBAY_CLIENT_WINDOW_JOBS), else it is
 * the default.
 *
 * An object may be used by many threads, also while one of them sets a key. */

/** A set of options. */
typedef struct forebay_options_t forebay_options_t;

/**
 * Makes a set of options in which nothing is set. The caller frees it by forebay_options_free.
 *
 * Any thread. NULL never.
 */
FOREBAY_API forebay_options_t *forebay_options_new(void);

/**
 * Frees options; the handles they were given to have read them and do not need them. An `options` of NULL is nothing.
 *
 * Any thread; nobody else may use the object any more.
 */
FOREBAY_API void forebay_options_free(forebay_options_t *options);

/**
 * Sets every key that a TOML file names; each family is a table. Either all are taken or, on an error, none.
 *
 * FOREBAY_ERR_IO when the file cannot be read, FOREBAY_ERR_OPTION when it is not TOML or a key or value is wrong. Any
 * thread. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_options_load(forebay_options_t *options,
                                      const char *toml_path,
                                      forebay_error_t **err);

/**
 * Sets a key from text: "500", "64Mi" for bytes, "30s" for milliseconds, "true", "a,b" for a list.
 *
 * FOREBAY_ERR_OPTION when there is no such key (the error names the nearest) or the value does not fit (the error says
 * what would). Any thread. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_options_set(forebay_options_t *options,
                                     const char *key,
                                     const char *value,
                                     forebay_error_t **err);

/**
 * Sets a key to a whole number: a count, milliseconds, bytes, or 0 and 1 for a switch.
 *
 * Errors and threads as for forebay_options_set. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_options_set_int(forebay_options_t *options,
                                         const char *key,
                                         int64_t value,
                                         forebay_error_t **err);

/**
 * Sets a header, "job.header.NAME", to any bytes; any other key to text that needs no NUL.
 *
 * Errors and threads as for forebay_options_set. `data` may be NULL when `len` is 0. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_options_set_bytes(forebay_options_t *options,
                                           const char *key,
                                           const void *data,
                                           size_t len,
                                           forebay_error_t **err);

/**
 * Takes a key back, so that environment and default count again.
 *
 * FOREBAY_ERR_OPTION when there is no such key. Any thread. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_options_unset(forebay_options_t *options,
                                       const char *key,
                                       forebay_error_t **err);

/**
 * Writes the value in effect, what was set, else the environment's, else the default, into `buf` of `cap` bytes, with a
 * NUL; `*needed` becomes its bytes without the NUL. A value that does not fit is FOREBAY_ERR_TOO_LARGE: `buf` is as it
 * was, `*needed` says how much there is. A key without a value has an empty one.
 *
 * FOREBAY_ERR_OPTION when there is no such key or the environment's value does not fit it. Any thread. `buf` may be NULL
 * with a `cap` of 0. `needed` may be NULL. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_options_get(const forebay_options_t *options,
                                     const char *key,
                                     char *buf,
                                     size_t cap,
                                     size_t *needed,
                                     forebay_error_t **err);

/**
 * The option with number `i`, from 0: 1 and its texts, or 0 past the last. `type` says values and bounds, such as
 * "milliseconds, 0 to 31536000000"; `dflt` is empty where there is no default.
 *
 * Any thread. The texts live for ever. `key`, `type`, `dflt` and `text` each may be NULL.
 */
FOREBAY_API
int32_t forebay_option_at(size_t i,
                          const char **key,
                          const char **type,
                          const char **dflt,
                          const char **text);


/* ---- Library memory ------------------------------------------------------------------------------------------
 *
 * A buffer is memory the library owns and may keep without a copy: a payload or a result is written into it once and
 * travels from there. It is shared by whoever it was given to; the last one to let go of it frees it. */

/** Bytes owned by the library. */
typedef struct forebay_buffer_t forebay_buffer_t;

/**
 * Makes a buffer of `len` bytes, not set to anything; `*data` is where they are, aligned to 64. The caller writes all of
 * them, gives the buffer to a submission or to forebay_job_complete_buffer, does not write them any more after that, and
 * frees the buffer at any time. The bytes live until the buffer is freed.
 *
 * FOREBAY_ERR_MEMORY when there is no such room. Any thread. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_buffer_new(size_t len,
                                    forebay_buffer_t **buffer,
                                    void **data,
                                    forebay_error_t **err);

/**
 * Lets go of a buffer. What it was given to keeps the bytes as long as it needs them. A `buffer` of NULL is nothing.
 *
 * Any thread; nobody else may use the object any more.
 */
FOREBAY_API void forebay_buffer_free(forebay_buffer_t *buffer);


/* ---- Jobs to submit ------------------------------------------------------------------------------------------
 *
 * A job as the caller describes it. Everything it points to is read before the call returns and may be freed after it,
 * a buffer included. Only `struct_size` and `queue` must be set; what stays 0 has its default:
 *
 *     forebay_submit_t job = {.struct_size = sizeof job};
 *     job.queue = "resize";
 *     job.payload = image;
 *     job.payload_len = image_len; */

/** One of several parts of a payload or a result. This structure is frozen. */
typedef struct {
    /** Its bytes; may be NULL when `len` is 0. */
    const void *data;
    /** How many. */
    size_t len;
} forebay_frame_t;

/** Named bytes that travel beside a payload. This structure is frozen. */
typedef struct {
    /** Its name, UTF-8. */
    const char *name;
    /** Its bytes; may be NULL when `len` is 0. */
    const void *data;
    /** How many. */
    size_t len;
} forebay_header_t;

/** A job to submit. Grows only at its end. */
typedef struct {
    /** sizeof(forebay_submit_t). In an array the first element's counts for all. */
    size_t struct_size;
    /**
     * Its id, for a job that may be submitted again by another process or after a restart; the broker remembers it for
     * 24 hours. NULL: made by the library.
     */
    const forebay_id_t *id;
    /** The queue it waits in: 1 to 255 bytes of UTF-8 without control characters. */
    const char *queue;
    /**
     * What the worker gets, any bytes. Only one of payload, frames and buffer may be set; none is an empty payload.
     */
    const void *payload;
    /** Bytes of it. */
    size_t payload_len;
    /** The same in several parts, which stay apart. */
    const forebay_frame_t *frames;
    /** How many. */
    size_t frames_len;
    /** The same in library memory, which is not copied; see forebay_buffer_new. */
    const forebay_buffer_t *buffer;
    /** What travels beside the payload. A header of the options with the same name is replaced. */
    const forebay_header_t *headers;
    /** How many. */
    size_t headers_len;
    /** Its rules and headers, "job." keys; NULL: what the environment says. Read once for each object. */
    const forebay_options_t *options;
    /** Over job.delay_ms, unless 0. */
    int64_t delay_ms;
    /** Over job.queue_ms, unless 0. */
    int64_t queue_ms;
    /** Over job.run_ms, unless 0. */
    int64_t run_ms;
    /** Over job.deadline_ms, unless 0. */
    int64_t deadline_ms;
    /** Over job.attempts, unless 0. */
    uint32_t attempts;
    /** Over job.priority, unless 0: 1 (lowest) to 8, 4 is normal. */
    uint32_t priority;
    /** Comes back with every piece of news about the job. */
    uint64_t tag;
    /**
     * Which news forebay_client_next hands over: OR of 1u << FOREBAY_KIND_.... A job that wants its result gets it from
     * next only; any other only from the waits.
     */
    uint32_t want;
    /** 0. */
    uint32_t reserved;
} forebay_submit_t;


/* ---- Pipelines -----------------------------------------------------------------------------------------------
 *
 * A pipeline is a named directed graph of steps. Each step is a job; it begins when the steps it needs are done, and may be
 * given their results as frames behind its own payload. forebay_client_run hands a pipeline to the broker, which executes
 * it as one run and keeps its state: the client may go and come back, and so may the broker, if it has a store.
 *
 * A run is a job too, with an id: forebay_client_wait, forebay_client_next, forebay_client_cancel and the other calls are
 * for it as for any job. It is DONE when all its steps are, and its result has the results of the steps that no other needs,
 * as frames in the order of the steps. When a step does not end DONE the run is FAILED, with the step's name and cause in
 * its message; steps under way are cancelled, those behind it do not begin. The command "run.get" of forebay_client_admin
 * shows a run with its steps and their times.
 *
 * A pipeline may be run any number of times, and changed between. Any thread may use it, also while another does. */

/**
 * Of forebay_pipeline_step: the step is an open stage, to which jobs are added by forebay_stage_add while the run goes on. Its
 * `job` says the queue, rules and headers of those that name none; it has no payload and takes no results.
 */
#define FOREBAY_STEP_OPEN 1
/**
 * Of forebay_pipeline_step: the step is one job for each frame of the results it takes, of which it takes at least one. Each
 * is given the step's payload and behind it one frame. What needs the step begins when all of them are done, and may be given their
 * results, in the order of the frames.
 */
#define FOREBAY_STEP_EACH 2
/**
 * Of forebay_pipeline_step, for a stage: its results are collected, see forebay_collector_open, and the run is not DONE before each of
 * them is acknowledged. They are no part of the run's result.
 */
#define FOREBAY_STEP_COLLECT 4
/**
 * Of forebay_pipeline_step: when the step does not end DONE the run goes on all the same, and steps that take its result are
 * given an empty frame.
 */
#define FOREBAY_STEP_CONTINUE 8
/** Of forebay_pipeline_after: the step is given the result of the one it needs. */
#define FOREBAY_NEED_RESULT 1

/** A named graph of steps. */
typedef struct forebay_pipeline_t forebay_pipeline_t;

/**
 * Makes a pipeline without steps. `name` is what people know its runs by: 1 to 255 bytes of UTF-8 without control
 * characters. The caller frees the pipeline by forebay_pipeline_free.
 *
 * FOREBAY_ERR_ARGUMENT for a name that cannot be, FOREBAY_ERR_OPTION when an option of the environment is wrong. Any
 * thread. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_pipeline_new(const char *name,
                                      forebay_pipeline_t **pipeline,
                                      forebay_error_t **err);

/**
 * Adds a step. `step` is its name, 1 to 255 bytes of UTF-8 without control characters and once in the pipeline. `job` says its
 * queue, payload (an empty one is none), headers and rules; its id, tag and want are not a step's and are 0. `flags` is 0 or an OR of
 * FOREBAY_STEP_CONTINUE and one of FOREBAY_STEP_OPEN and FOREBAY_STEP_EACH, and with one of these FOREBAY_STEP_COLLECT. Delay, queue timeout and deadline count from when the step may begin; its level is the run's. Everything is copied.
 *
 * FOREBAY_ERR_ARGUMENT for a name that is taken or cannot be, or a job that has what a step has not; FOREBAY_ERR_TOO_LARGE for a step
 * more than 100,000. Any thread. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_pipeline_step(forebay_pipeline_t *pipeline,
                                       const char *step,
                                       const forebay_submit_t *job,
                                       uint32_t flags,
                                       forebay_error_t **err);

/**
 * Has `step` begin only when `needs` is done. `flags` is 0, or FOREBAY_NEED_RESULT: `step` is then given the frames of its
 * result, one empty frame for a result without any, behind its own payload and those of what it was said to need before. Both
 * were added before.
 *
 * FOREBAY_ERR_NOT_FOUND for a step that was not, FOREBAY_ERR_CYCLE for a step that needs itself, FOREBAY_ERR_ARGUMENT for what
 * was said before. A longer circle is found by forebay_client_run. Any thread. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_pipeline_after(forebay_pipeline_t *pipeline,
                                        const char *step,
                                        const char *needs,
                                        uint32_t flags,
                                        forebay_error_t **err);

/**
 * Has each run of the pipeline wait for its context, see forebay_run_context, before any step begins.
 *
 * Any thread. `err` may be NULL.
 */
FOREBAY_API forebay_status_t forebay_pipeline_hold(forebay_pipeline_t *pipeline, forebay_error_t **err);

/**
 * Writes the graph in the language of Graphviz: up to `cap` bytes, the last of them 0. Returns how long the text is without that
 * 0; when that is not below `cap`, the text was cut. `buf` may be NULL when `cap` is 0.
 *
 * Any thread; 0 for a `pipeline` of NULL.
 */
FOREBAY_API
size_t forebay_pipeline_dot(const forebay_pipeline_t *pipeline,
                            char *buf,
                            size_t cap);

/**
 * Frees a pipeline; its runs go on. A `pipeline` of NULL is nothing.
 *
 * Any thread; nobody else may use the object any more.
 */
FOREBAY_API void forebay_pipeline_free(forebay_pipeline_t *pipeline);


/* ---- Results -------------------------------------------------------------------------------------------------
 *
 * One piece of news about a job: its result, progress, a partial result, or the answer to an operator's command. It
 * belongs to the caller, never changes, and may be read by many threads at once; what its getters lend lives as long as
 * it does, also after its client is gone. */

/** One piece of news about a job. */
typedef struct forebay_result_t forebay_result_t;

/** What is known by one piece of news. Grows only at its end. */
typedef struct {
    /** sizeof(forebay_result_view_t), set by the caller. */
    size_t struct_size;
    /** The job; all zero in answers that are not about one. */
    forebay_id_t id;
    /** FOREBAY_OUTCOME_...: how the job ended, or stands as far as this tells. */
    int32_t outcome;
    /** How often it had been started. */
    uint32_t attempt;
    /** The first frame of the result, never NULL. Not aligned. */
    const void *data;
    /** Bytes of it. */
    size_t data_len;
    /**
     * A short word for programs that says why a job failed, such as "abandoned"; of REFUSED the status's name; else empty.
     */
    const char *code;
    /** The same as one sentence for people; of PROGRESS its note; else empty. */
    const char *message;
    /** More, such as a traceback; else empty. */
    const char *detail;
    /** How far the job is, 0 to 1. */
    double progress;
    /** Frames of the result. */
    uint32_t frames;
    /** FOREBAY_KIND_...: what the news is. */
    int32_t kind;
    /** What the job was submitted with. */
    uint64_t tag;
    /** The number of a partial result, from 0 in each attempt. */
    uint64_t sequence;
    /** Headers of the result. */
    uint32_t headers;
    /** Of REFUSED the status that a submit would have answered; else 0. */
    forebay_status_t status;
    /** Of REFUSED, after how many milliseconds trying again makes sense; -1 where the broker has not said. */
    int64_t retry_after_ms;
} forebay_result_view_t;

/**
 * Fills `*view`, whose `struct_size` the caller has set. Its pointers live as long as the result.
 *
 * FOREBAY_ERR_ARGUMENT for a NULL or a `struct_size` that nobody set; `*view` is as it was then. Any thread.
 */
FOREBAY_API forebay_status_t forebay_result_view(const forebay_result_t *result, forebay_result_view_t *view);

/**
 * Frame `i` of the result, from 0, its bytes in `*len`; NULL past the last and for a `result` of NULL.
 *
 * Any thread. The bytes live as long as the result and are not aligned. `len` may be NULL.
 */
FOREBAY_API const void *forebay_result_frame(const forebay_result_t *result, uint32_t i, size_t *len);

/**
 * Header `i` of the result, from 0: 1 and its name and bytes, or 0 past the last and for a `result` of NULL.
 *
 * Any thread. Name and bytes live as long as the result. `name`, `data` and `len` each may be NULL.
 */
FOREBAY_API
int32_t forebay_result_header_at(const forebay_result_t *result,
                                 uint32_t i,
                                 const char **name,
                                 const void **data,
                                 size_t *len);

/**
 * What broker and worker know of the job, as a JSON object of strings: attempts, worker, host, times ... Fields are only
 * ever added. NULL for a `result` of NULL.
 *
 * Any thread. The text lives as long as the result.
 */
FOREBAY_API
const char *forebay_result_meta(const forebay_result_t *result);

/**
 * Frees a result. A `result` of NULL is nothing.
 *
 * Any thread; nobody else may use the result, or what it lent, any more.
 */
FOREBAY_API void forebay_result_free(forebay_result_t *result);


/* ---- Client --------------------------------------------------------------------------------------------------
 *
 * A client submits jobs and hands their results over. Every function may be called from any thread, by many at once,
 * but for forebay_client_free. One thread of the library owns the connection: it finds the broker, also after a restart
 * of it, and submits again what the broker may have lost.
 *
 * A `timeout_ms` below 0 waits for ever, 0 does not wait. A wait that ends with nothing to hand over answers
 * FOREBAY_TIMED_OUT or FOREBAY_INTERRUPTED, which are above 0, and makes no error. */

/** A connection that submits jobs. */
typedef struct forebay_client_t forebay_client_t;

/**
 * Opens a client on `endpoint`, one address or several separated by commas: "ipc:///run/user/1000/forebay/broker.sock",
 * "tcp://10.0.0.5:7711", "tcp://[::1]:7711", "inproc://name". It returns at once and never waits for the network, so the
 * broker may be started later.
 *
 * `endpoint` may be NULL: $FOREBAY_BROKER, else the default address. `options` may be NULL; the "client." keys are read.
 * `err` may be NULL. The caller frees the client by forebay_client_free.
 *
 * FOREBAY_ERR_ADDRESS when an address is wrong, FOREBAY_ERR_OPTION when an option of the environment is,
 * FOREBAY_ERR_IO when the system gives no thread or descriptor.
 */
FOREBAY_API
forebay_status_t forebay_client_open(const char *endpoint,
                                     const forebay_options_t *options,
                                     forebay_client_t **client,
                                     forebay_error_t **err);

/**
 * Waits until the broker has welcomed the client.
 *
 * FOREBAY_ERR_IO when it has not in time and there is no connection; the error names the address and the cause, and the
 * library goes on trying. FOREBAY_TIMED_OUT when no cause is known, FOREBAY_INTERRUPTED; a broker that refuses the client,
 * for good, is FOREBAY_ERR_PROTOCOL or FOREBAY_ERR_DENIED. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_client_ready(forebay_client_t *client,
                                      int64_t timeout_ms,
                                      forebay_error_t **err);

/** FOREBAY_STATE_...; 0 for a `client` of NULL. */
FOREBAY_API int32_t forebay_client_state(const forebay_client_t *client);

/**
 * Submits `n` jobs and waits until the broker holds them at the level they ask. FOREBAY_OK: it holds all of them. Else it
 * holds the first `*accepted`, and the status and the error speak of the next one.
 *
 * `ids`, an array of `n`, and `accepted` are written, whatever the status, as soon as every argument is found valid: a
 * caller whose submit was not confirmed can wait for the ids, cancel them, or submit them again. `ids` may be NULL.
 * `accepted` may be NULL. `jobs` may be NULL when `n` is 0. `err` may be NULL.
 *
 * FOREBAY_ERR_UNCONFIRMED when the broker has not answered in time; the jobs may exist. FOREBAY_ERR_BUSY when it has no
 * room. FOREBAY_ERR_CONFLICT when the id is in use with other content, FOREBAY_ERR_TOO_OLD when it is older than the
 * broker remembers, FOREBAY_ERR_TOO_LARGE, FOREBAY_ERR_STORE_FULL when the store has no
 * room for a durable job, FOREBAY_ERR_UNSUPPORTED when there is no store for it.
 */
FOREBAY_API
forebay_status_t forebay_client_submit(forebay_client_t *client,
                                       const forebay_submit_t *jobs,
                                       size_t n,
                                       int64_t timeout_ms,
                                       forebay_id_t *ids,
                                       size_t *accepted,
                                       forebay_error_t **err);

/**
 * Hands a pipeline to the broker as a run, and waits until the broker holds it. `job` says the run's id, options, delay, deadline,
 * headers, tag and want, as it does for a job; it has no queue and no payload. `job` may be NULL. A run is DONE, FAILED, CANCELLED or EXPIRED
 * as one; deadline and level are those of the whole run.
 *
 * `*run` is written, whatever the status, as soon as the arguments are valid. `run` may be NULL. `err` may be NULL.
 *
 * FOREBAY_ERR_CYCLE when steps wait for each other in a circle or none can begin, FOREBAY_ERR_ARGUMENT for a pipeline without steps; else
 * as for forebay_client_submit.
 */
FOREBAY_API
forebay_status_t forebay_client_run(forebay_client_t *client,
                                    const forebay_pipeline_t *pipeline,
                                    const forebay_submit_t *job,
                                    int64_t timeout_ms,
                                    forebay_id_t *run,
                                    forebay_error_t **err);

/**
 * Gives a run its context: up to 2,000 bytes that each worker gets with a job of the run, see forebay_job_context. A run that is held
 * for it begins. Given again, it counts for jobs that are handed out from then on.
 *
 * FOREBAY_ERR_NOT_FOUND for a run that is not known, FOREBAY_ERR_STATE for one that has ended, FOREBAY_ERR_TOO_LARGE,
 * FOREBAY_ERR_UNCONFIRMED. `data` may be NULL when `len` is 0. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_run_context(forebay_client_t *client,
                                     const forebay_id_t *run,
                                     const void *data,
                                     size_t len,
                                     int64_t timeout_ms,
                                     forebay_error_t **err);

/**
 * Takes `n` jobs into the client's window and returns at once; they are sent as fast as the broker takes them. What
 * becomes of them is told by forebay_client_flush, by FOREBAY_KIND_ACCEPTED and FOREBAY_KIND_REFUSED where the job wants
 * them, and by the result.
 *
 * FOREBAY_ERR_BUSY when the window has no room for all; the first `*accepted` were taken. Arguments as for
 * forebay_client_submit: `ids` may be NULL. `accepted` may be NULL. `jobs` may be NULL when `n` is 0. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_client_enqueue(forebay_client_t *client,
                                        const forebay_submit_t *jobs,
                                        size_t n,
                                        forebay_id_t *ids,
                                        size_t *accepted,
                                        forebay_error_t **err);

/**
 * Waits until the broker has answered everything that was enqueued before.
 *
 * FOREBAY_ERR_UNCONFIRMED when it has not in time, FOREBAY_ERR_BUSY and the like when it has refused a job since the last
 * flush; the error speaks of the first. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_client_flush(forebay_client_t *client,
                                      int64_t timeout_ms,
                                      forebay_error_t **err);

/**
 * Submits one job and waits for its result. The timeout is also the job's deadline unless one is set, so that nothing
 * runs on for a caller who left. FOREBAY_OK: the job has ended; how, says the result's outcome.
 *
 * `*id` is written, whatever the status, as soon as the arguments are valid. `id` may be NULL. `err` may be NULL. The
 * caller frees the result.
 *
 * FOREBAY_ERR_UNCONFIRMED when there was no result in time; else as for forebay_client_submit.
 */
FOREBAY_API
forebay_status_t forebay_client_call(forebay_client_t *client,
                                     const forebay_submit_t *job,
                                     int64_t timeout_ms,
                                     forebay_id_t *id,
                                     forebay_result_t **result,
                                     forebay_error_t **err);

/**
 * Waits for the result of a job, of this client or of another one with its name. The caller frees the result.
 *
 * FOREBAY_TIMED_OUT, FOREBAY_INTERRUPTED; FOREBAY_ERR_NOT_FOUND for an unknown id, which another client's is too;
 * FOREBAY_ERR_STATE for a job that wants its result delivered by forebay_client_next. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_client_wait(forebay_client_t *client,
                                     const forebay_id_t *id,
                                     int64_t timeout_ms,
                                     forebay_result_t **result,
                                     forebay_error_t **err);

/**
 * Waits until at least `at_least` of `n` jobs have ended. `results[i]` belongs to `ids[i]` and becomes NULL where that job
 * has not ended; `*ended` says how many have. Both are written, whatever the status, as soon as the arguments are valid,
 * so that no result is lost when the wait ends early. The caller frees the results.
 *
 * Statuses as for forebay_client_wait. `ids` may be NULL when `n` is 0. `ended` may be NULL. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_client_wait_many(forebay_client_t *client,
                                          const forebay_id_t *ids,
                                          size_t n,
                                          size_t at_least,
                                          int64_t timeout_ms,
                                          forebay_result_t **results,
                                          size_t *ended,
                                          forebay_error_t **err);

/**
 * The next piece of news that a job's `want` asked for, in order of arrival. The caller frees the result.
 *
 * FOREBAY_TIMED_OUT, FOREBAY_INTERRUPTED. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_client_next(forebay_client_t *client,
                                     int64_t timeout_ms,
                                     forebay_result_t **result,
                                     forebay_error_t **err);

/**
 * Like forebay_client_next for up to `cap` pieces of news at once: it waits for the first and takes what is there.
 * `*got` says how many of `results` were written.
 *
 * FOREBAY_ERR_ARGUMENT for a `cap` of 0. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_client_next_many(forebay_client_t *client,
                                          int64_t timeout_ms,
                                          forebay_result_t **results,
                                          size_t cap,
                                          size_t *got,
                                          forebay_error_t **err);

/**
 * How a job stands, without taking its result: outcome, attempt, progress, and the result where it has ended. The caller
 * frees the result.
 *
 * FOREBAY_TIMED_OUT, FOREBAY_INTERRUPTED; FOREBAY_ERR_NOT_FOUND for an unknown id. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_client_peek(forebay_client_t *client,
                                     const forebay_id_t *id,
                                     int64_t timeout_ms,
                                     forebay_result_t **result,
                                     forebay_error_t **err);

/**
 * Says that a result was received and need not be kept. Only with client.ack = manual; otherwise it was said as the
 * result was handed over. Never waits.
 *
 * `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_client_ack(forebay_client_t *client,
                                    const forebay_id_t *id,
                                    forebay_error_t **err);

/**
 * Cancels a job. FOREBAY_OK: it is CANCELLED for ever and no result of it will count; a worker that runs it is told to
 * stop.
 *
 * FOREBAY_ERR_STATE when it has ended otherwise, FOREBAY_ERR_UNCONFIRMED when the broker has not answered in time,
 * FOREBAY_ERR_NOT_FOUND for an unknown id. `reason` may be NULL. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_client_cancel(forebay_client_t *client,
                                       const forebay_id_t *id,
                                       const char *reason,
                                       int64_t timeout_ms,
                                       forebay_error_t **err);

/**
 * Waits until at least `n` workers have registered a queue: for tests and for programs that start both.
 *
 * FOREBAY_TIMED_OUT, FOREBAY_INTERRUPTED. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_client_wait_workers(forebay_client_t *client,
                                             const char *queue,
                                             uint32_t n,
                                             int64_t timeout_ms,
                                             forebay_error_t **err);

/**
 * Carries out an operator's command; forebay_command_at lists them. The result's data is JSON, to which fields are only
 * ever added. `arguments` are "admin." keys, and "job." and "param." keys for "queue.set". The caller frees the result.
 *
 * FOREBAY_ERR_NOT_FOUND for a command the broker does not know and for an unknown job, queue or worker,
 * FOREBAY_ERR_ARGUMENT when one of its arguments is missing or wrong, FOREBAY_ERR_UNCONFIRMED when it has not answered in
 * time. `arguments` may be NULL. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_client_admin(forebay_client_t *client,
                                      const char *command,
                                      const forebay_options_t *arguments,
                                      int64_t timeout_ms,
                                      forebay_result_t **json,
                                      forebay_error_t **err);

/**
 * The operator's command with number `i`, from 0: 1 and its texts, or 0 past the last.
 *
 * The texts live for ever. `name`, `arguments` and `text` each may be NULL.
 */
FOREBAY_API int32_t forebay_command_at(size_t i, const char **name, const char **arguments, const char **text);

/**
 * What this client has counted, as JSON in the result's data: sent, acknowledged, sent again, reconnections, refused,
 * round trip ... The caller frees the result. Never waits.
 *
 * `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_client_stats(forebay_client_t *client,
                                      forebay_result_t **json,
                                      forebay_error_t **err);

/**
 * A descriptor that is readable exactly while forebay_client_next has something to hand over, for poll, epoll and event
 * loops (an interrupt, which ends waits, does not show on it). It is the library's: only watch it. It lives as long as the client. -1 when there is
 * none, and for a `client` of NULL.
 */
FOREBAY_API
int64_t forebay_client_fd(const forebay_client_t *client);

/**
 * Ends all waits on this client now, each with FOREBAY_INTERRUPTED; if none waits, the next one.
 *
 * Async-signal-safe. FOREBAY_ERR_ARGUMENT for a `client` of NULL.
 */
FOREBAY_API forebay_status_t forebay_client_interrupt(forebay_client_t *client);

/**
 * Closes a client and frees it: waits up to client.linger_ms for what is still to be sent. Jobs the broker holds run on.
 * Its results stay valid. A `client` of NULL is nothing.
 *
 * No other thread may be inside a call on it, or begin one. In a forked child it forgets the handle without closing.
 */
FOREBAY_API
void forebay_client_free(forebay_client_t *client);


/* ---- Stages --------------------------------------------------------------------------------------------------
 *
 * A step of a pipeline may be an open stage, made by FOREBAY_STEP_OPEN: any number of jobs, which clients add while the run
 * goes on, until one of them closes it. What was added before the stage may begin is held until then. A step that needs the
 * stage begins when it is closed and all of its jobs are done, and may be given their results, in the order in which they
 * were added; so may the result of the run.
 *
 * Whoever knows the run's id may add to its stages, from any process. A stage that has begun, has no job left, and is neither
 * added to nor closed for broker.stage_idle_ms ends its run as FAILED: its owner has vanished. */

/**
 * Adds `n` jobs to the open stage `step` of a run and waits until the broker holds them, as forebay_client_submit does; waiting
 * for them, cancelling and acknowledging them is as for any job. A job whose queue is NULL waits in the stage's; rules and headers
 * that it does not name are the stage's; its level is the run's. Its result stays at the broker as long as the run.
 *
 * `ids`, an array of `n`, and `accepted` are written, whatever the status, as soon as every argument is found valid. `ids` may
 * be NULL. `accepted` may be NULL. `jobs` may be NULL when `n` is 0. `err` may be NULL.
 *
 * FOREBAY_ERR_STATE when the stage is closed or the run has ended, FOREBAY_ERR_NOT_FOUND for a run that is not known, or without
 * such a stage, FOREBAY_ERR_TOO_LARGE when the stages of the run would have more than 1,000,000 jobs; else as for
 * forebay_client_submit. Any thread.
 */
FOREBAY_API
forebay_status_t forebay_stage_add(forebay_client_t *client,
                                   const forebay_id_t *run,
                                   const char *step,
                                   const forebay_submit_t *jobs,
                                   size_t n,
                                   int64_t timeout_ms,
                                   forebay_id_t *ids,
                                   size_t *accepted,
                                   forebay_error_t **err);

/**
 * Closes an open stage: nothing is added to it any more. `count` is how many jobs were added to it in all, or below 0 when that is
 * not known. Closing it again is nothing.
 *
 * FOREBAY_ERR_STATE when it has another number of jobs, and then it stays as it is, or when the run has ended before;
 * FOREBAY_ERR_NOT_FOUND for a run that is not known, or without such a stage; FOREBAY_ERR_UNCONFIRMED when the broker has not
 * answered in time. Any thread. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_stage_close(forebay_client_t *client,
                                     const forebay_id_t *run,
                                     const char *step,
                                     int64_t count,
                                     int64_t timeout_ms,
                                     forebay_error_t **err);

/**
 * Waits for what the collector of the stage `step` said with its acknowledgement number `after` + 1, counted from 1 in the order of
 * the acknowledgements: the result's data is that, its id the job's whose result it was, and its sequence the number. They are kept
 * as long as the run. The caller frees the result.
 *
 * FOREBAY_DRAINED when there will be none: the stage is closed and all is acknowledged, or the run has ended otherwise.
 * FOREBAY_TIMED_OUT, FOREBAY_INTERRUPTED; FOREBAY_ERR_NOT_FOUND for a run that is not known, or without such a stage that is collected.
 * Any thread. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_stage_acked(forebay_client_t *client,
                                     const forebay_id_t *run,
                                     const char *step,
                                     uint64_t after,
                                     int64_t timeout_ms,
                                     forebay_result_t **result,
                                     forebay_error_t **err);


/* ---- Collectors ----------------------------------------------------------------------------------------------
 *
 * A collector takes the results of a stage that was made with FOREBAY_STEP_COLLECT, one by one, while its run goes on, and acknowledges
 * each. It is known by its name: one that comes back under it, after a crash too, is handed what it has not acknowledged, and nothing
 * that it has; one under another name is refused. So each result is acted on once by a collector that acts and acknowledges at once,
 * and at least once by any other.
 *
 * What it says with an acknowledgement, forebay_stage_acked hands to whoever adds to the stage. The run is not DONE before the last
 * result is acknowledged, and waits for its collector however long that is away; a deadline of the run ends that. */

/**
 * Of forebay_collector_open: results come in the order in which their jobs were added or made; else as they end.
 */
#define FOREBAY_COLLECT_IN_ORDER 1

/** Takes the results of a stage. */
typedef struct forebay_collector_t forebay_collector_t;

/**
 * Opens a collector of the stage `step` of a run. `name` is what it is known by, 1 to 255 bytes. `flags` is 0 or FOREBAY_COLLECT_IN_ORDER.
 * It asks nobody yet. The caller frees it by forebay_collector_free, before or after its client; when that is gone its calls answer
 * FOREBAY_ERR_CLOSED.
 *
 * FOREBAY_ERR_ARGUMENT for other flags. Any thread. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_collector_open(forebay_client_t *client,
                                        const forebay_id_t *run,
                                        const char *step,
                                        const char *name,
                                        uint32_t flags,
                                        forebay_collector_t **collector,
                                        forebay_error_t **err);

/**
 * Waits for the next result and hands it over; the job has ended, how, says its outcome. The caller frees the result.
 *
 * FOREBAY_DRAINED behind the last one: the stage is closed and everything was handed over, or the run has ended otherwise.
 * FOREBAY_TIMED_OUT, FOREBAY_INTERRUPTED (by forebay_client_interrupt); FOREBAY_ERR_STATE when another collects the stage,
 * FOREBAY_ERR_NOT_FOUND when the run is not known, or has no such stage that is collected. Any thread, one at a time. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_collector_next(forebay_collector_t *collector,
                                        int64_t timeout_ms,
                                        forebay_result_t **result,
                                        forebay_error_t **err);

/**
 * Acknowledges the result of the job `job`. FOREBAY_OK: nobody is handed it again, whatever happens. `data`, up to 2,000 bytes, is what
 * forebay_stage_acked hands over. Acknowledging it again is nothing, and what was said first counts.
 *
 * FOREBAY_ERR_NOT_FOUND for a job that is not of the stage, FOREBAY_ERR_TOO_LARGE, FOREBAY_ERR_STATE; FOREBAY_ERR_UNCONFIRMED when the
 * broker has not answered in time: do it again. `data` may be NULL when `len` is 0. Any thread. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_collector_ack(forebay_collector_t *collector,
                                       const forebay_id_t *job,
                                       const void *data,
                                       size_t len,
                                       int64_t timeout_ms,
                                       forebay_error_t **err);

/**
 * Copies the context of the run (forebay_run_context) into `buf`, as far as its `cap` bytes go, and returns how many bytes it has: as it
 * was when forebay_collector_next last asked the broker; 0 before that, for a run without a context and for a `collector` of NULL.
 *
 * Any thread. `buf` may be NULL when `cap` is 0.
 */
FOREBAY_API
size_t forebay_collector_context(const forebay_collector_t *collector,
                                 void *buf,
                                 size_t cap);

/**
 * Frees a collector. What it has not acknowledged waits for the next one under its name. A `collector` of NULL is nothing.
 *
 * No other thread may be inside a call on it, or begin one.
 */
FOREBAY_API
void forebay_collector_free(forebay_collector_t *collector);


/* ---- Job -----------------------------------------------------------------------------------------------------
 *
 * A job a worker has received. It is answered once, from any thread; forebay_job_stop, _stop_flag, _hints and _progress
 * may be called by any thread at any time. A job that is freed without an answer has failed this attempt with the code
 * "abandoned".
 *
 * A handler can be tested without a broker: forebay_job_new_test makes a job, the handler answers it, and
 * forebay_job_test_result says what the client would have got. */

/** A job a worker has received. */
typedef struct forebay_job_t forebay_job_t;

/** What is known of a job. Grows only at its end. */
typedef struct {
    /** sizeof(forebay_job_view_t), set by the caller. */
    size_t struct_size;
    /** Its id. */
    forebay_id_t id;
    /** The queue it waited in. */
    const char *queue;
    /** The first frame of the payload, never NULL. Not aligned. */
    const void *payload;
    /** Bytes of it. */
    size_t payload_len;
    /** Frames of the payload. */
    uint32_t frames;
    /** Which attempt this is, from 1. */
    uint32_t attempt;
    /** How many there are at most. */
    uint32_t attempts_max;
    /** Headers of the job. */
    uint32_t headers;
    /** Milliseconds left of its run time or to its deadline, whichever comes first; -1 when there is no end. */
    int64_t time_left_ms;
} forebay_job_view_t;

/**
 * Fills `*view`, whose `struct_size` the caller has set. Its pointers live as long as the job.
 *
 * FOREBAY_ERR_ARGUMENT for a NULL or a `struct_size` that nobody set; `*view` is as it was then. Any thread.
 */
FOREBAY_API forebay_status_t forebay_job_view(const forebay_job_t *job, forebay_job_view_t *view);

/**
 * The first frame of the payload, its bytes in `*len`; not aligned, never NULL but for a `job` of NULL.
 *
 * Any thread. The bytes live as long as the job. `len` may be NULL.
 */
FOREBAY_API const void *forebay_job_payload(const forebay_job_t *job, size_t *len);

/**
 * Frame `i` of the payload, from 0, its bytes in `*len`; NULL past the last and for a `job` of NULL.
 *
 * Any thread. The bytes live as long as the job and are not aligned. `len` may be NULL.
 */
FOREBAY_API const void *forebay_job_frame(const forebay_job_t *job, uint32_t i, size_t *len);

/**
 * The bytes of the first header of this name, how many in `*len`; NULL when there is none, and for a `job` or `name` of
 * NULL.
 *
 * Any thread. The bytes live as long as the job and are not aligned. `len` may be NULL.
 */
FOREBAY_API
const void *forebay_job_header(const forebay_job_t *job,
                               const char *name,
                               size_t *len);

/**
 * The context of the run whose job this is, its bytes in `*len`; NULL for a job of no run, or of one without a context.
 *
 * Any thread. The bytes live as long as the job and are not aligned. `len` may be NULL.
 */
FOREBAY_API
const void *forebay_job_context(const forebay_job_t *job,
                                size_t *len);

/**
 * Header `i` of the job, from 0: 1 and its name and bytes, or 0 past the last and for a `job` of NULL.
 *
 * Any thread. Name and bytes live as long as the job. `name`, `data` and `len` each may be NULL.
 */
FOREBAY_API
int32_t forebay_job_header_at(const forebay_job_t *job,
                              uint32_t i,
                              const char **name,
                              const void **data,
                              size_t *len);

/**
 * Whether to stop: 0, or an OR of FOREBAY_STOP_.... Once it is not 0, an answer changes nothing any more; free the job
 * and receive the next. 0 for a `job` of NULL.
 *
 * Any thread. Costs one read of memory.
 */
FOREBAY_API
uint32_t forebay_job_stop(const forebay_job_t *job);

/**
 * The word that forebay_job_stop reads, for inner loops and for languages where a call costs much. NULL for a `job` of
 * NULL.
 *
 * Any thread. It lives as long as the job; only read it.
 */
FOREBAY_API
const volatile uint32_t *forebay_job_stop_flag(const forebay_job_t *job);

/**
 * What the job should know while it goes on: 0, or an OR of FOREBAY_HINT_.... 0 for a `job` of NULL.
 *
 * Any thread.
 */
FOREBAY_API uint32_t forebay_job_hints(const forebay_job_t *job);

/**
 * Tells how far the job is, 0 to 1, and a note for people; the stall timeout begins anew. Never waits; the latest wins.
 * Answers the stop bits, as forebay_job_stop does. 0 for a `job` of NULL.
 *
 * Any thread. `note` may be NULL; one that is not UTF-8 is left out.
 */
FOREBAY_API
uint32_t forebay_job_progress(forebay_job_t *job,
                              double fraction,
                              const char *note);

/**
 * Sends a partial result, numbered from 0 in each attempt, to the client that wants FOREBAY_KIND_PARTIAL. Waits while as
 * many bytes as job.partial_bytes are on their way.
 *
 * FOREBAY_ERR_UNCONFIRMED when there was no room in time, FOREBAY_ERR_LEASE_LOST when the job is another's,
 * FOREBAY_ERR_STATE when it is answered, FOREBAY_ERR_TOO_LARGE, FOREBAY_ERR_CLOSED. `data` may be NULL when `len` is 0.
 * `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_job_send(forebay_job_t *job,
                                  const void *data,
                                  size_t len,
                                  int64_t timeout_ms,
                                  forebay_error_t **err);

/**
 * Sets a header of the result; the same name again replaces it.
 *
 * FOREBAY_ERR_STATE when the job is answered, FOREBAY_ERR_TOO_LARGE. `data` may be NULL when `len` is 0. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_job_set_header(forebay_job_t *job,
                                        const char *name,
                                        const void *data,
                                        size_t len,
                                        forebay_error_t **err);

/**
 * Answers the job with its result. FOREBAY_OK: the library holds a copy and sends it until the broker has it, also to a
 * restarted broker. What lies in the job's own payload is not copied when it is long.
 *
 * FOREBAY_ERR_LEASE_LOST when the job is another's by now, FOREBAY_ERR_STATE when it is answered, FOREBAY_ERR_BUSY when
 * more than worker.unacked_bytes wait to be acknowledged, FOREBAY_ERR_TOO_LARGE, FOREBAY_ERR_CLOSED. After BUSY and
 * TOO_LARGE it is not answered yet. `data` may be NULL when `len` is 0. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_job_complete(forebay_job_t *job,
                                      const void *data,
                                      size_t len,
                                      forebay_error_t **err);

/**
 * Like forebay_job_complete with a result of several frames, which stay apart. `frames` may be NULL when `frames_len` is
 * 0. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_job_complete_frames(forebay_job_t *job,
                                             const forebay_frame_t *frames,
                                             size_t frames_len,
                                             forebay_error_t **err);

/**
 * Like forebay_job_complete with a result in library memory, which is not copied; see forebay_buffer_new. `err` may be
 * NULL.
 */
FOREBAY_API
forebay_status_t forebay_job_complete_buffer(forebay_job_t *job,
                                             const forebay_buffer_t *buffer,
                                             forebay_error_t **err);

/**
 * Answers that this attempt failed. `retry_ms`: FOREBAY_RETRY_POLICY, another attempt as the job's rules say;
 * FOREBAY_RETRY_NEVER; 0 or more, another attempt after that time, if one is left. `code` is a short word for programs,
 * `message` one sentence for people, `detail` more, such as a stack trace; the client gets those of the last attempt.
 *
 * Errors as for forebay_job_complete. `code`, `message` and `detail` each may be NULL. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_job_fail(forebay_job_t *job,
                                  int64_t retry_ms,
                                  const char *code,
                                  const char *message,
                                  const char *detail,
                                  forebay_error_t **err);

/**
 * Gives the job back: it may run elsewhere, not before `delay_ms` have passed. It does not count as an attempt; a job may
 * be given back job.releases times.
 *
 * FOREBAY_ERR_ARGUMENT for a `delay_ms` below 0; else as for forebay_job_complete. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_job_release(forebay_job_t *job,
                                     int64_t delay_ms,
                                     forebay_error_t **err);

/**
 * Frees a job. Without an answer the attempt has failed with the code "abandoned". A `job` of NULL is nothing.
 *
 * Any thread; nobody else may use the job, or what it lent, any more. It may be freed after its worker.
 */
FOREBAY_API void forebay_job_free(forebay_job_t *job);

/**
 * Makes a job that no broker knows, to test a handler with: it is answered like any other, and nothing is sent. The caller
 * frees it by forebay_job_free.
 *
 * FOREBAY_ERR_ARGUMENT as for forebay_client_submit. Any thread. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_job_new_test(const forebay_submit_t *submit,
                                      forebay_job_t **job,
                                      forebay_error_t **err);

/**
 * What the client of a test job would have got by its answer. The caller frees the result.
 *
 * FOREBAY_ERR_STATE when the job is not answered, or not a test job. Any thread. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_job_test_result(const forebay_job_t *job,
                                         forebay_result_t **result,
                                         forebay_error_t **err);


/* ---- Worker --------------------------------------------------------------------------------------------------
 *
 * A worker takes jobs of the queues it registers. Every function may be called from any thread, by many at once, but for
 * forebay_worker_free; as many threads as call forebay_worker_receive work at once. One thread of the library owns the
 * connection: it beats, keeps the jobs' leases and sends answers again while the program computes, finds the broker
 * again after a restart, and never runs the program's code. */

/** A connection that takes jobs. */
typedef struct forebay_worker_t forebay_worker_t;

/**
 * Opens a worker on `endpoint`, as forebay_client_open does. It takes no job before a queue is registered.
 *
 * `endpoint` may be NULL: $FOREBAY_BROKER, else the default address. `options` may be NULL; the "worker." keys are read.
 * `err` may be NULL. The caller frees the worker by forebay_worker_free. Errors as for forebay_client_open.
 */
FOREBAY_API
forebay_status_t forebay_worker_open(const char *endpoint,
                                     const forebay_options_t *options,
                                     forebay_worker_t **worker,
                                     forebay_error_t **err);

/**
 * Takes jobs of a queue from now on, also after every restart of the broker. Returns at once. Registering a queue again
 * changes its options.
 *
 * FOREBAY_ERR_ARGUMENT for a name that is no queue's, FOREBAY_ERR_STATE after forebay_worker_stop. `options` may be NULL;
 * the "register." keys are read. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_worker_register(forebay_worker_t *worker,
                                         const char *queue,
                                         const forebay_options_t *options,
                                         forebay_error_t **err);

/**
 * Takes no more jobs of a queue. Jobs that were handed out are answered as ever. Returns at once.
 *
 * FOREBAY_ERR_NOT_FOUND when it was not registered. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_worker_unregister(forebay_worker_t *worker,
                                           const char *queue,
                                           forebay_error_t **err);

/**
 * Waits for a job and hands it out; its run time begins now. The caller answers it by forebay_job_complete, _fail or
 * _release, and frees it.
 *
 * FOREBAY_TIMED_OUT, FOREBAY_INTERRUPTED; FOREBAY_DRAINED after forebay_worker_stop; FOREBAY_ERR_IO when the broker was
 * away longer than worker.broker_gone_ms; FOREBAY_ERR_PROTOCOL or FOREBAY_ERR_DENIED when it does not want this worker.
 * `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_worker_receive(forebay_worker_t *worker,
                                        int64_t timeout_ms,
                                        forebay_job_t **job,
                                        forebay_error_t **err);

/**
 * Like forebay_worker_receive for up to `cap` jobs at once: it waits for the first and takes what is there, up to the
 * worker's free slots. `*got` says how many of `jobs` were written. The run time of each begins now.
 *
 * FOREBAY_ERR_ARGUMENT for a `cap` of 0. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_worker_receive_many(forebay_worker_t *worker,
                                             int64_t timeout_ms,
                                             forebay_job_t **jobs,
                                             size_t cap,
                                             size_t *got,
                                             forebay_error_t **err);

/**
 * Takes no new jobs from now on, for good: every receive answers FOREBAY_DRAINED. Jobs that were handed out are answered
 * as ever.
 *
 * Async-signal-safe. A `worker` of NULL is nothing.
 */
FOREBAY_API
void forebay_worker_stop(forebay_worker_t *worker);

/**
 * Stops, and waits until every job that was handed out is answered and the broker has every answer.
 *
 * FOREBAY_ERR_UNCONFIRMED when that was not so in time. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_worker_drain(forebay_worker_t *worker,
                                      int64_t timeout_ms,
                                      forebay_error_t **err);

/** Waits until the broker has welcomed the worker; see forebay_client_ready. `err` may be NULL. */
FOREBAY_API
forebay_status_t forebay_worker_ready(forebay_worker_t *worker,
                                      int64_t timeout_ms,
                                      forebay_error_t **err);

/** FOREBAY_STATE_...; 0 for a `worker` of NULL. */
FOREBAY_API int32_t forebay_worker_state(const forebay_worker_t *worker);

/**
 * What this worker has counted, as JSON in the result's data. The caller frees the result. Never waits.
 *
 * `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_worker_stats(forebay_worker_t *worker,
                                      forebay_result_t **json,
                                      forebay_error_t **err);

/**
 * A descriptor that is readable exactly while forebay_worker_receive has a job to hand out, and for good once it answers
 * FOREBAY_DRAINED; see forebay_client_fd. -1 when there
 * is none, and for a `worker` of NULL.
 */
FOREBAY_API
int64_t forebay_worker_fd(const forebay_worker_t *worker);

/**
 * Ends all waits on this worker now, each with FOREBAY_INTERRUPTED; if none waits, the next one.
 *
 * Async-signal-safe. FOREBAY_ERR_ARGUMENT for a `worker` of NULL.
 */
FOREBAY_API forebay_status_t forebay_worker_interrupt(forebay_worker_t *worker);

/**
 * Closes a worker and frees it: jobs that were not handed out go back to the broker, and it waits up to worker.linger_ms
 * for answers the broker has not acknowledged. Jobs that were handed out stay valid memory; answering them is
 * FOREBAY_ERR_CLOSED, and others will run them. A `worker` of NULL is nothing.
 *
 * No other thread may be inside a call on it, or begin one. In a forked child it forgets the handle without closing.
 */
FOREBAY_API
void forebay_worker_free(forebay_worker_t *worker);


/* ---- Plugins -------------------------------------------------------------------------------------------------
 *
 * A plugin is a function in a shared object, without a main and a loop: `forebay worker --load ./libresize.so` opens it in
 * processes of their own, hands it one job after the other, and starts a process again that crashed. The shared object
 * shows one symbol, forebay_plugin_v1, which describes it; its functions may call everything of this header, and it needs
 * not be linked to the library, which is there before it. `forebay new-plugin NAME` writes one that builds.
 *
 * In each process: process_init once, thread_init once for each thread, handle for each job, then thread_fini and
 * process_fini. A process has one thread unless `forebay worker --isolate thread` says otherwise. */

/** The plugin interface of this header. A host refuses a plugin of another one, naming both. */
#define FOREBAY_PLUGIN_ABI 1

/**
 * What a plugin is. Everything it points to lives as long as the shared object is open. Grows only at its end.
 */
typedef struct {
    /** sizeof(forebay_plugin_t). */
    uint32_t struct_size;
    /** FOREBAY_PLUGIN_ABI. */
    uint32_t abi;
    /** Its name, for people. */
    const char *name;
    /** Its version, for people; may be NULL. */
    const char *version;
    /** The queues whose jobs it handles, ended by a NULL; may be NULL when the host is told by --queue. */
    const char *const *queues;
    /**
     * Its parameters, each as three texts, name, default and what it is for, ended by a NULL; may be NULL. A default of
     * NULL: it has to be given.
     */
    const char *const *params;
    /**
     * Called first in each process. `params` holds every parameter it declares, as "param.NAME", for
     * forebay_options_get, until process_fini. `*process` is handed to all other functions. 0, or anything else with the
     * reason in `why`, at most `why_cap` bytes with the NUL: the process ends. May be NULL.
     */
    int32_t (*process_init)(const forebay_options_t *params, void **process, char *why, size_t why_cap);
    /** Called last, unless the process crashed. May be NULL. */
    void (*process_fini)(void *process);
    /**
     * Called on each thread before its first job. `slot` numbers the threads of all processes of one host from 0. Else as
     * process_init. May be NULL.
     */
    int32_t (*thread_init)(void *process, uint32_t slot, void **thread, char *why, size_t why_cap);
    /** Called on each thread after its last job. May be NULL. */
    void (*thread_fini)(void *process, void *thread);
    /**
     * Handles a job: answers it by forebay_job_complete, _fail or _release, and returns 0. The job is freed by the host.
     * Returning without an answer fails the attempt with the code "abandoned"; another number than 0 is named there. Called
     * by as many threads at once as there are. No C++ exception may leave it.
     */
    int32_t (*handle)(forebay_job_t *job, void *process, void *thread);
    /**
     * Fetches what the job's payload, a key, stands for: `handle` is given that as the payload instead. It leaves the bytes
     * in `*value`, a buffer of forebay_buffer_new that the host frees, and returns 0; or anything else with the reason in
     * `why`, at most `why_cap` bytes with the NUL: the attempt fails with the code "retrieve_failed". It does not answer the
     * job. Not called when the host has a --retrieve of its own. May be NULL.
     */
    int32_t (*retrieve)(forebay_job_t *job,
                        void *process,
                        void *thread,
                        forebay_buffer_t **value,
                        char *why,
                        size_t why_cap);
    /**
     * Puts the result of a job that went well away, of which `key` is the payload as it was submitted. What it leaves in
     * `*instead`, as in retrieve, is the result instead; NULL: an empty one. Else as retrieve, with "save_failed". Called
     * by the thread that answers the job; `thread` is NULL when that is none of the host's. Not called when the host has a
     * --save of its own. May be NULL.
     */
    int32_t (*save)(const forebay_frame_t *key,
                    const forebay_frame_t *frames,
                    size_t frames_len,
                    void *process,
                    void *thread,
                    forebay_buffer_t **instead,
                    char *why,
                    size_t why_cap);
} forebay_plugin_t;

/**
 * Loads plugins and handles their jobs until forebay_host_stop, or until the broker sends the worker home. What is in hand
 * is answered before it returns. The calling thread handles jobs too; host.slots says how many threads there are in all.
 *
 * The "host.", "worker.", "register." and "param." keys are read; the broker is $FOREBAY_BROKER, else the default one.
 * FOREBAY_ERR_OPTION for a plugin that cannot be opened, a parameter nobody declares and the like, FOREBAY_ERR_UNSUPPORTED
 * for a plugin of another ABI, FOREBAY_ERR_STATE when a plugin does not begin and while another call of it is under way;
 * else as forebay_worker_receive. Plugins stay open until the process ends. `options` may be NULL. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_host_run(const forebay_options_t *options,
                                  forebay_error_t **err);

/**
 * Ends forebay_host_run once the jobs in hand are answered; if none runs, the next one at once.
 *
 * Async-signal-safe.
 */
FOREBAY_API void forebay_host_stop(void);

/**
 * Loads plugins and has them handle one job that no broker knows: process_init, thread_init, handle, thread_fini and
 * process_fini, all on the calling thread. The caller frees the result, which says what the job's client would have got.
 *
 * FOREBAY_ERR_NOT_FOUND when no plugin handles the job's queue; FOREBAY_ERR_ARGUMENT as for forebay_client_submit; else as
 * for forebay_host_run. `options` may be NULL. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_host_test(const forebay_options_t *options,
                                   const forebay_submit_t *submit,
                                   forebay_result_t **result,
                                   forebay_error_t **err);

/** The one symbol of a plugin, which the plugin defines: its descriptor, the same at each call. */
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const forebay_plugin_t *forebay_plugin_v1(void);


/* ---- Embedded broker -----------------------------------------------------------------------------------------
 *
 * A broker inside the program: the same as `forebay broker`, on threads of its own. It never exits the process and
 * touches no signal. Clients and workers of the same process reach it by its endpoints too. */

/** A broker inside the program. */
typedef struct forebay_broker_t forebay_broker_t;

/**
 * Starts a broker and returns when it is bound. Without a broker.store jobs live in memory; with one, the jobs it kept are
 * there again.
 *
 * `options` may be NULL; the "broker.", "queue." and "job." keys are read, the last as the rules of jobs that say nothing
 * else. `err` may be NULL. The caller frees the broker by forebay_broker_free.
 *
 * FOREBAY_ERR_IN_USE when another broker has the address or the store; it is undisturbed. FOREBAY_ERR_ADDRESS when an address is wrong
 * or not this machine's, FOREBAY_ERR_DENIED for TCP with neither keys nor broker.insecure, FOREBAY_ERR_IO,
 * FOREBAY_ERR_STORE when the store is damaged, FOREBAY_ERR_UNSUPPORTED when a later version wrote it.
 */
FOREBAY_API
forebay_status_t forebay_broker_start(const forebay_options_t *options,
                                      forebay_broker_t **broker,
                                      forebay_error_t **err);

/**
 * The address with number `i`, from 0, as clients use it: with the real port where 0 was asked for. NULL past the last and
 * for a `broker` of NULL.
 *
 * Any thread. The text lives as long as the broker.
 */
FOREBAY_API
const char *forebay_broker_endpoint(const forebay_broker_t *broker,
                                    uint32_t i);

/**
 * Waits until the broker has ended. FOREBAY_OK: it was stopped. FOREBAY_TIMED_OUT: it runs. Below 0: it ended by itself,
 * and the error says why.
 *
 * Any thread. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_broker_wait(forebay_broker_t *broker,
                                     int64_t timeout_ms,
                                     forebay_error_t **err);

/**
 * Hands out no more jobs, refuses new ones with FOREBAY_ERR_BUSY, and waits until none runs.
 *
 * FOREBAY_ERR_UNCONFIRMED when some still run at the end of the time. Any thread. `err` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_broker_drain(forebay_broker_t *broker,
                                      int64_t timeout_ms,
                                      forebay_error_t **err);

/**
 * Stops the broker: it says goodbye to clients and workers, who keep trying, and unbinds.
 *
 * FOREBAY_ERR_UNCONFIRMED when it has not ended in time. Any thread. `err` may be NULL.
 */
FOREBAY_API forebay_status_t forebay_broker_stop(forebay_broker_t *broker, int64_t timeout_ms, forebay_error_t **err);

/**
 * Stops a broker that runs, and frees it. A `broker` of NULL is nothing.
 *
 * No other thread may be inside a call on it, or begin one. In a forked child it forgets the handle without closing.
 */
FOREBAY_API void forebay_broker_free(forebay_broker_t *broker);


/* ---- Log -----------------------------------------------------------------------------------------------------
 *
 * The library speaks of warnings and worse, to stderr. The environment variable FOREBAY_LOG or forebay_log_set choose
 * other levels, for all ("info") or for each part ("warn,broker=debug,client=off"; parts: broker, client, worker, host, net,
 * store, cli; levels: off, error, warn, info, debug, trace). The log belongs to the process, not to a handle. */

/**
 * Takes one line of the log. Called by any thread, by one at a time, in order; `part` and `text` live until it returns.
 * It must not call forebay: every call from inside answers FOREBAY_ERR_STATE. It must not throw, nor wait for a thread
 * that is inside forebay.
 */
typedef void (*forebay_log_fn)(void *user_data, int32_t level, const char *part, const char *text);

/**
 * Sets the levels and who takes the lines: `sink`, or stderr again when it is NULL. When this returns, the sink that was
 * there before is idle and will not be called any more, so what it used may be freed.
 *
 * `levels` may be NULL: they stay as they are. `sink` may be NULL. `user_data` may be NULL; it is handed to every call.
 *
 * FOREBAY_ERR_ARGUMENT when a word of `levels` is wrong; nothing has changed then. FOREBAY_ERR_STATE from inside a sink.
 * Any thread, but not one that holds a lock the sink takes.
 */
FOREBAY_API
forebay_status_t forebay_log_set(const char *levels,
                                 forebay_log_fn sink,
                                 void *user_data);

/**
 * The next line, for programs that cannot be called back. The first call begins to collect lines instead of writing them
 * to stderr; 1024 wait at most, then the oldest are dropped, and a line says how many.
 *
 * Writes "part: text" with a NUL into `buf` of `cap` bytes, its bytes without the NUL to `*needed` and its level to
 * `*level`. A line that does not fit is FOREBAY_ERR_TOO_LARGE: only `*needed` is written, and the line stays the next.
 *
 * FOREBAY_TIMED_OUT when none came in time. FOREBAY_ERR_STATE while a sink is set. Any thread. `level` may be NULL.
 * `buf` may be NULL with a `cap` of 0. `needed` may be NULL.
 */
FOREBAY_API
forebay_status_t forebay_log_next(int64_t timeout_ms,
                                  int32_t *level,
                                  char *buf,
                                  size_t cap,
                                  size_t *needed);

#ifdef __cplusplus
}
#endif

#endif /* FOREBAY_H */
