/* A client of the chaos test: submits durable jobs in batches and collects their outcomes, until its standard input ends
 * and every job it got an OK for has been told to it.
 *
 *     chaos_client NAME library|application wait|next DIR busy|idle
 *
 * Its ids are the library's or its own; results are waited for or come by next; idle: it submits nothing. What it knows stands
 * in two logs in DIR, so that it goes on after kill -9 where it was:
 *
 *     NAME.sent   I SEQ LEN ID       about to submit; ID is - while only the library knows it
 *                 A SEQ ID           the broker has acknowledged it
 *                 N SEQ              it submits again under an id that the library made
 *                 R STATUS           a submission was refused, or not confirmed in time
 *     NAME.told   O SEQ ID OUTCOME RESULT
 *                 F SEQ ID OUTCOME   how a job ended whose result it had acknowledged before
 *                 K SEQ              a result that was held back on purpose is about to be acknowledged
 *                 L SEQ ID STATUS    the broker does not know a job that it acknowledged
 *
 * I and A are synced before anything follows from them, O before the result is acknowledged. Every eighth result is held
 * back: it is acknowledged a few hundred later, and asked for again by the next process of this name and at the end.
 *
 * Lines on standard input: `fat N` makes further payloads N bytes long at least, `adopt SEQ ID` collects a job nobody was told
 * of, `list` prints what the broker holds as JSON. */
#include "chaos.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum {
    BATCH_MAX = 100,
    OUTSTANDING_MAX = 1000,
    OUTSTANDING_MAX_FAT = 2500,
    PENDING_MAX = 4000,
    HELD_EACH = 8,
    HELD_MAX = 200,
    ACK_AGAIN = 4000,
    PAYLOAD_CAP = 2 << 20,
    SUBMIT_MS = 1500,
};

/* What is known of a job, by its number. Of a job's flags each is set by one thread only. */
typedef struct {
    forebay_id_t id;
    uint32_t len;
    bool has_id;
    bool is_acked;
    atomic_bool is_told;
    bool is_released;
} entry_t;

enum { ENTRIES_PER_PAGE = 1 << 16, PAGES_MAX = 1 << 10 };

static const char *name;
static bool has_own_ids, is_next, is_idle;
static forebay_client_t *client;
static entry_t *pages[PAGES_MAX];
static uint64_t next_seq;
static atomic_uint_fast64_t outstanding;
static atomic_bool is_ending, is_submitted;
static atomic_size_t payload_len_min;
static journal_t sent, told;

/* Jobs to be waited for, from the submitter to the collector. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t handed_over[PENDING_MAX];
static size_t handed_over_len;

/* The collector's own. */
static uint64_t pending[PENDING_MAX];
static size_t pending_len;
static uint64_t held[HELD_MAX];
static size_t held_at, held_len;

static entry_t *entry(uint64_t seq) {
    size_t page = seq / ENTRIES_PER_PAGE;
    if (page >= PAGES_MAX) die("too many jobs", NULL);
    if (pages[page] == NULL) pages[page] = must(calloc(ENTRIES_PER_PAGE, sizeof(entry_t)));
    return &pages[page][seq % ENTRIES_PER_PAGE];
}

static const char *text_of(const forebay_id_t *id) {
    static _Thread_local char text[FOREBAY_ID_TEXT_CAP];
    forebay_id_text(id, text, sizeof text);
    return text;
}

static bool is_held(uint64_t seq) {
    return seq % HELD_EACH == 0;
}

/* ---- What the processes before this one knew ---- */

static void set_id(entry_t *job, const char *text) {
    if (strcmp(text, "-") == 0) return;
    if (forebay_id_parse(text, &job->id) != FOREBAY_OK) die("an id in the log", NULL);
    job->has_id = true;
}

static void replay_line(const char *line) {
    char kind, id[64] = "-";
    uint64_t seq = 0;
    uint32_t len = 0;
    if (sscanf(line, "%c %" SCNu64, &kind, &seq) != 2) return;
    entry_t *job = entry(seq);
    switch (kind) {
    case 'I':
        sscanf(line, "I %*u %" SCNu32 " %63s", &len, id);
        job->len = len;
        set_id(job, id);
        if (seq >= next_seq) next_seq = seq + 1;
        break;
    case 'A':
        sscanf(line, "A %*u %63s", id);
        set_id(job, id);
        job->is_acked = true;
        break;
    case 'O':
        sscanf(line, "O %*u %63s", id);
        set_id(job, id);
        job->is_told = true;
        break;
    case 'L': job->is_told = job->is_released = true; break;
    case 'K': job->is_released = true; break;
    default: break;
    }
}

static void replay(const journal_t *journal) {
    char line[512];
    FILE *file = fdopen(dup(journal->fd), "r");
    if (file == NULL) die("a log that cannot be read", NULL);
    rewind(file);
    while (fgets(line, sizeof line, file) != NULL) replay_line(line);
    fclose(file);
}

/* ---- Submitting ---- */

static forebay_submit_t describe(uint64_t seq, char *payload, size_t cap, const forebay_options_t *options) {
    forebay_submit_t job = {.struct_size = sizeof job};
    entry_t *known = entry(seq);
    job.queue = "work";
    job.payload = payload;
    job.payload_len = make_payload(payload, cap, name, seq, known->len);
    job.options = options;
    job.tag = seq;
    job.want = is_next ? 1u << FOREBAY_KIND_RESULT : 0;
    if (known->has_id) job.id = &known->id;
    return job;
}

static void hand_over(uint64_t seq) {
    pthread_mutex_lock(&lock);
    if (handed_over_len == PENDING_MAX) die("too many jobs at once", NULL);
    handed_over[handed_over_len++] = seq;
    pthread_mutex_unlock(&lock);
}

static void acknowledged(const uint64_t *seqs, const forebay_id_t *ids, size_t n) {
    for (size_t i = 0; i < n; i++) journal_add(&sent, "A %" PRIu64 " %s\n", seqs[i], text_of(&ids[i]));
    journal_sync(&sent);
    for (size_t i = 0; i < n; i++) {
        entry_t *job = entry(seqs[i]);
        job->id = ids[i];
        job->has_id = true;
        job->is_acked = true;
        if (!is_next) hand_over(seqs[i]);
    }
}

/* The jobs from `at` on are to be submitted again under the ids they have. Gives where those begin that are not over
 * already: who was told how a job ended needs no OK for it, and has perhaps acknowledged the result. */
static size_t name_rest(uint64_t *seqs, forebay_submit_t *jobs, forebay_id_t *ids, size_t at, size_t n) {
    for (size_t i = at; i < n; i++) {
        if (jobs[i].id == NULL) journal_add(&sent, "N %" PRIu64 "\n", seqs[i]);
        if (!entry(seqs[i])->is_told) {
            jobs[i].id = &ids[i];
            continue;
        }
        uint64_t seq = seqs[i];
        forebay_submit_t job = jobs[i];
        forebay_id_t id = ids[i];
        acknowledged(&seq, &id, 1);
        for (size_t to = i; to > at; to--) {
            seqs[to] = seqs[to - 1], jobs[to] = jobs[to - 1], ids[to] = ids[to - 1];
            jobs[to].id = &ids[to];
        }
        seqs[at] = seq, jobs[at] = job, ids[at] = id;
        at++;
    }
    return at;
}

/* Submits these jobs until the broker holds all of them. Who got no OK submits the same ids again. */
static void submit_all(uint64_t *seqs, forebay_submit_t *jobs, size_t n) {
    forebay_id_t ids[BATCH_MAX];
    for (size_t at = 0; at < n;) {
        forebay_error_t *error = NULL;
        size_t accepted = 0;
        forebay_status_t status =
            forebay_client_submit(client, jobs + at, n - at, SUBMIT_MS, ids + at, &accepted, &error);
        if (accepted > 0) acknowledged(seqs + at, ids + at, accepted);
        at += accepted;
        if (status == FOREBAY_OK) continue;
        if (status != FOREBAY_ERR_BUSY && status != FOREBAY_ERR_STORE_FULL && status != FOREBAY_ERR_UNCONFIRMED)
            die("submit", error);
        int64_t retry_ms = forebay_error_retry_after_ms(error);
        forebay_error_free(error);
        journal_add(&sent, "R %s\n", forebay_status_name(status));
        at = name_rest(seqs, jobs, ids, at, n);
        journal_write(&sent);
        pause_us((retry_ms < 0 ? 10 : retry_ms < 100 ? retry_ms : 100) * 1000);
    }
}

static void submit_batch(uint64_t *seqs, size_t n, const forebay_options_t *options) {
    forebay_submit_t jobs[BATCH_MAX];
    char *payloads[BATCH_MAX];
    for (size_t i = 0; i < n; i++) {
        size_t cap = entry(seqs[i])->len + 100;
        payloads[i] = must(malloc(cap));
        jobs[i] = describe(seqs[i], payloads[i], cap, options);
    }
    submit_all(seqs, jobs, n);
    for (size_t i = 0; i < n; i++) free(payloads[i]);
}

static void intend(uint64_t seq, uint64_t *random) {
    entry_t *job = entry(seq);
    uint64_t cast = splitmix(random) % 2000;
    size_t len = cast == 0 ? 1200000 : cast < 6 ? 70000 : 50 + splitmix(random) % 900;
    job->len = (uint32_t)(len < payload_len_min ? payload_len_min : len);
    if (has_own_ids) {
        if (forebay_id_new(&job->id) != FOREBAY_OK) die("an id", NULL);
        job->has_id = true;
    }
    journal_add(&sent, "I %" PRIu64 " %" PRIu32 " %s\n", seq, job->len, job->has_id ? text_of(&job->id) : "-");
}

/* Jobs of its own ids that an earlier process meant to submit, and perhaps has. */
static void submit_again(uint64_t before, const forebay_options_t *options) {
    uint64_t seqs[BATCH_MAX];
    size_t n = 0;
    for (uint64_t seq = 0; seq < before; seq++) {
        const entry_t *job = entry(seq);
        if (!job->has_id || job->is_acked || job->is_told) continue;
        outstanding++;
        seqs[n++] = seq;
        if (n == BATCH_MAX) submit_batch(seqs, n, options), n = 0;
    }
    submit_batch(seqs, n, options);
}

static void *submit_jobs(void *unused) {
    (void)unused;
    forebay_options_t *options = forebay_options_new();
    forebay_options_set(options, "job.level", "durable", NULL);
    forebay_options_set_int(options, "job.attempts", 1000, NULL);
    uint64_t random = fnv1a(FNV_START, name, strlen(name)) ^ next_seq;
    if (has_own_ids && !is_idle) submit_again(next_seq, options);
    while (!is_ending && !is_idle) {
        uint64_t seqs[BATCH_MAX];
        size_t n = 1 + splitmix(&random) % BATCH_MAX;
        if (outstanding + n > (payload_len_min > 0 ? OUTSTANDING_MAX_FAT : OUTSTANDING_MAX)) {
            pause_us(1000);
            continue;
        }
        for (size_t i = 0; i < n; i++) intend(seqs[i] = next_seq++, &random);
        journal_sync(&sent);
        outstanding += n;
        submit_batch(seqs, n, options);
    }
    forebay_options_free(options);
    is_submitted = true;
    return NULL;
}

/* ---- Collecting ---- */

static void add_pending(uint64_t seq) {
    if (pending_len == PENDING_MAX) die("too many jobs at once", NULL);
    pending[pending_len++] = seq;
}

static void release(uint64_t seq) {
    forebay_client_ack(client, &entry(seq)->id, NULL);
    entry(seq)->is_released = true;
}

/* A result that is kept for a while. The oldest one makes room, and is acknowledged once the log says so. */
static void hold(uint64_t seq) {
    if (held_len == HELD_MAX) {
        uint64_t oldest = held[held_at];
        journal_add(&told, "K %" PRIu64 "\n", oldest);
        journal_sync(&told);
        release(oldest);
        held[held_at] = seq;
        held_at = (held_at + 1) % HELD_MAX;
        return;
    }
    held[held_len++] = seq;
}

static void note_result(const forebay_result_t *result, uint64_t seq) {
    forebay_result_view_t view = {.struct_size = sizeof view};
    forebay_result_view(result, &view);
    if (strcmp(view.code, "result-forgotten") == 0) {
        journal_add(&told, "F %" PRIu64 " %s %s\n", seq, text_of(&view.id), forebay_outcome_name(view.outcome));
        return;
    }
    journal_add(&told, "O %" PRIu64 " %s %s %.*s\n", seq, text_of(&view.id), forebay_outcome_name(view.outcome),
                (int)(view.data_len < 200 ? view.data_len : 200), (const char *)view.data);
}

/* These were told for good: the log has them. */
static void tell(const uint64_t *seqs, size_t n) {
    if (n == 0) return;
    journal_sync(&told);
    for (size_t i = 0; i < n; i++) {
        entry_t *job = entry(seqs[i]);
        if (!job->is_told) outstanding--;
        job->is_told = true;
        if (is_held(seqs[i])) hold(seqs[i]);
        else release(seqs[i]);
    }
}

/* A wait failed for one of these: which one the broker does not know. */
static void find_lost(void) {
    size_t left = 0;
    for (size_t i = 0; i < pending_len; i++) {
        uint64_t seq = pending[i];
        forebay_result_t *result = NULL;
        forebay_status_t status = forebay_client_peek(client, &entry(seq)->id, 2000, &result, NULL);
        forebay_result_free(result);
        if (status >= 0) {
            pending[left++] = seq;
            continue;
        }
        journal_add(&told, "L %" PRIu64 " %s %s\n", seq, text_of(&entry(seq)->id), forebay_status_name(status));
        entry(seq)->is_told = entry(seq)->is_released = true;
        outstanding--;
    }
    pending_len = left;
    journal_sync(&told);
}

static void collect_waited(int64_t timeout_ms) {
    forebay_id_t ids[PENDING_MAX];
    static forebay_result_t *results[PENDING_MAX];
    static uint64_t done[PENDING_MAX];
    size_t ended = 0, left = 0, done_len = 0;
    forebay_error_t *error = NULL;
    if (pending_len == 0) return;
    for (size_t i = 0; i < pending_len; i++) ids[i] = entry(pending[i])->id;
    forebay_status_t status = forebay_client_wait_many(client, ids, pending_len, 1 + pending_len / 4, timeout_ms,
                                                       results, &ended, &error);
    if (status < 0 && status != FOREBAY_ERR_NOT_FOUND) die("wait", error);
    forebay_error_free(error);
    for (size_t i = 0; i < pending_len; i++) {
        uint64_t seq = pending[i];
        if (results[i] == NULL) {
            pending[left++] = seq;
            continue;
        }
        note_result(results[i], seq);
        forebay_result_free(results[i]);
        done[done_len++] = seq;
    }
    pending_len = left;
    tell(done, done_len);
    if (status == FOREBAY_ERR_NOT_FOUND) find_lost();
}

static void collect_next(int64_t timeout_ms) {
    enum { CAP = 256 };
    forebay_result_t *results[CAP];
    uint64_t done[CAP];
    size_t got = 0, done_len = 0;
    forebay_error_t *error = NULL;
    if (forebay_client_next_many(client, timeout_ms, results, CAP, &got, &error) < 0) die("next", error);
    for (size_t i = 0; i < got; i++) {
        forebay_result_view_t view = {.struct_size = sizeof view};
        forebay_result_view(results[i], &view);
        /* A refusal was told to the submitter too, who submits again. */
        if (view.kind == FOREBAY_KIND_RESULT) {
            entry(view.tag)->id = view.id;
            note_result(results[i], view.tag);
            done[done_len++] = view.tag;
        }
        forebay_result_free(results[i]);
    }
    tell(done, done_len);
}

static void take_handed_over(void) {
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < handed_over_len; i++) add_pending(handed_over[i]);
    handed_over_len = 0;
    pthread_mutex_unlock(&lock);
}

static void *collect(void *unused) {
    (void)unused;
    while (!is_ending || !is_submitted || outstanding > 0) {
        take_handed_over();
        if (pending_len == 0 && !is_next) pause_us(1000);
        collect_waited(is_next ? 5 : 50);
        if (is_next) collect_next(20);
    }
    return NULL;
}

/* What earlier processes were owed, what they held back, and acknowledgements that may have gone with them. */
static void take_up(void) {
    uint64_t first_again = next_seq < ACK_AGAIN ? 0 : next_seq - ACK_AGAIN;
    for (uint64_t seq = 0; seq < next_seq; seq++) {
        entry_t *job = entry(seq);
        bool is_owed = job->is_acked && !job->is_told;
        if (is_owed) outstanding++;
        if (is_owed || (job->is_told && is_held(seq) && !job->is_released)) add_pending(seq);
        else if (job->is_told && seq >= first_again) forebay_client_ack(client, &job->id, NULL);
    }
}

/* Reads again what was held back, then acknowledges everything there ever was. */
static void finish(void) {
    for (size_t i = 0; i < held_len; i++) add_pending(held[i]);
    held_len = held_at = 0;
    while (pending_len > 0) collect_waited(50);
    for (uint64_t seq = 0; seq < next_seq; seq += HELD_EACH)
        if (entry(seq)->is_told && !entry(seq)->is_released) journal_add(&told, "K %" PRIu64 "\n", seq);
    journal_sync(&told);
    for (uint64_t seq = 0; seq < next_seq; seq++)
        if (entry(seq)->is_told) forebay_client_ack(client, &entry(seq)->id, NULL);
}

/* ---- Standard input ---- */

static void list(void) {
    char since[FOREBAY_ID_TEXT_CAP] = "";
    for (;;) {
        forebay_options_t *options = forebay_options_new();
        forebay_result_t *result = NULL;
        forebay_error_t *error = NULL;
        forebay_options_set_int(options, "admin.limit", 1000, NULL);
        if (*since != '\0') forebay_options_set(options, "admin.since", since, NULL);
        if (forebay_client_admin(client, "jobs.list", options, 30000, &result, &error) < 0) die("list", error);
        size_t len;
        const char *json = forebay_result_frame(result, 0, &len);
        printf("list %.*s\n", (int)len, json);
        /* The last id of this page is where the next begins. */
        const char *last = NULL;
        for (size_t i = 0; i + 42 < len; i++)
            if (memcmp(json + i, "\"id\":\"", 6) == 0) last = json + i + 6;
        if (last != NULL) snprintf(since, sizeof since, "%.36s", last);
        bool has_more = memmem(json, len, "\"more\":true", 11) != NULL;
        forebay_result_free(result);
        forebay_options_free(options);
        if (!has_more || last == NULL) break;
    }
    printf("listed\n");
}

static void adopt(const char *arguments) {
    uint64_t seq;
    char id[64];
    if (sscanf(arguments, "%" SCNu64 " %63s", &seq, id) != 2) die("adopt what", NULL);
    set_id(entry(seq), id);
    outstanding++;
    hand_over(seq);
}

static void obey(char *line) {
    if (strncmp(line, "fat ", 4) == 0) payload_len_min = strtoul(line + 4, NULL, 10);
    else if (strncmp(line, "adopt ", 6) == 0) adopt(line + 6);
    else if (strncmp(line, "list", 4) == 0) list();
    else die(line, NULL);
}

static void open_client(void) {
    forebay_error_t *error = NULL;
    forebay_options_t *options = forebay_options_new();
    forebay_options_set(options, "client.name", name, NULL);
    forebay_options_set(options, "client.ack", "manual", NULL);
    forebay_options_set(options, "client.linger_ms", "30s", NULL);
    if (forebay_client_open(NULL, options, &client, &error) < 0) die("open", error);
    forebay_options_free(options);
}

static void open_logs(const char *dir) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s.sent", dir, name);
    journal_open(&sent, path);
    replay(&sent);
    snprintf(path, sizeof path, "%s/%s.told", dir, name);
    journal_open(&told, path);
    replay(&told);
}

int main(int argc, char **argv) {
    static char line[512];
    pthread_t submitter, collector;

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 6) return 2;
    name = argv[1];
    has_own_ids = strcmp(argv[2], "application") == 0;
    is_next = strcmp(argv[3], "next") == 0;
    is_idle = strcmp(argv[5], "idle") == 0;
    open_logs(argv[4]);
    open_client();
    take_up();
    if (pthread_create(&submitter, NULL, submit_jobs, NULL) != 0) die("thread", NULL);
    if (pthread_create(&collector, NULL, collect, NULL) != 0) die("thread", NULL);
    while (fgets(line, sizeof line, stdin) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        obey(line);
    }
    is_ending = true;
    pthread_join(submitter, NULL);
    pthread_join(collector, NULL);
    finish();
    forebay_client_free(client);
    printf("finished\n");
    return 0;
}
