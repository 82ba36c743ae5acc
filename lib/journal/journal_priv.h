/*
 * What the files of the loop's side share: the journal itself, its table of segments, the jobs of its disk worker. For
 * the journal alone.
 */
#ifndef SP_JOURNAL_JOURNAL_PRIV_H
#define SP_JOURNAL_JOURNAL_PRIV_H

#include "io/worker.h"
#include "journal/recover_priv.h"
#include "journal/writer_priv.h"

#include <pthread.h>

enum { SP_JOURNAL_RETRY_MS = 5000 /* between tries for room, or for a disk that works */ };

/* What the loop will call; outlives a journal that was closed meanwhile. */
struct sp_journal_trigger {
    struct sp_journal *journal; /* NULL: closed */
    bool posted;
};

struct sp_journal_list {
    struct sp_journal_append *head;
    struct sp_journal_append **end;
};

struct sp_journal {
    struct sp_journal_options o;
    struct sp_segment_maker maker;
    struct sp_writer *writer;     /* the commit thread's, once it runs */
    struct sp_segment **segments; /* by number */
    size_t count;
    size_t cap;
    enum sp_journal_state state;
    struct sp_journal_stats stats;
    uint64_t passed;
    uint64_t needed; /* segments before it may go */
    struct sp_aead *key;
    uint64_t key_segment;
    struct sp_aead *content;  /* opens bodies' keys */
    uint64_t content_segment; /* whose content key it holds; 0: none */
    struct sp_worker *worker;
    struct sp_timer *retry;
    struct sp_journal_job *job;         /* the one that runs, or NULL */
    struct sp_forget *forget;           /* segments on their way out, or NULL */
    struct sp_journal_footing *footing; /* the footer that is written, or NULL */
    bool wants_next;
    bool wants_reserve;
    int64_t opened_ms;              /* when the last segment was taken into use */
    struct sp_journal_stats before; /* when it was, the commit that did so left out */
    bool is_fast;                   /* segments fill so fast that spares are made without zeroes */
    bool is_bulky; /* the same, by batches so large that zeroes are not worth their writing */
    struct sp_journal_trigger *done_trigger;
    struct sp_journal_trigger *wake_trigger;
    pthread_t thread;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;
    struct sp_journal_list pending;
    struct sp_commit *finished;
    struct sp_commit **finished_end;
    struct sp_segment *next_made;
    struct sp_segment *reserve_made;
    bool ending;
    bool poke; /* commit even if nothing is pending */
};

/* Work for the disk worker: spares to make. */
struct sp_journal_job {
    struct sp_journal *journal; /* NULL: closed */
    const struct sp_segment_maker *maker;
    bool wants_next;
    bool wants_reserve;
    bool in_need; /* a reserve without zeroes is better than none */
    uint64_t segment_len;
    uint64_t reserve_len;
    bool prewrite;
    struct sp_segment *next;
    struct sp_segment *reserve;
};

/* Segments on their way out (forget.c): keys first, then what they held is told, then the files. */
struct sp_forget {
    struct sp_journal *journal; /* NULL: closed */
    const struct sp_segment_maker *maker;
    const struct sp_journal_options *o;
    struct sp_segment **segments;
    struct sp_buf *notes; /* one for each */
    bool *told;
    size_t count;
    uint64_t to; /* all up to this number end, also those whose file was lost */
    enum { SP_FORGET_KEYS, SP_FORGET_TELLING, SP_FORGET_FILES } stage;
    bool noted;
    bool running;
    bool ok; /* of the stage that ran last */
};

/* Takes the content key out of the journal's hands: its segment is about to lose it. */
void sp_journal_content_key_drop(struct sp_journal *j);

/* returns: the segment of that number, or NULL if it is gone */
struct sp_segment *sp_journal_segment_find(const struct sp_journal *j, uint64_t number);

/* Has the worker make the spares that the writer lacks. */
void sp_journal_make_spares(struct sp_journal *j);
/* The retry timer's. arg: the journal */
void sp_journal_on_retry(void *arg);
/* Without a worker: makes them now. */
void sp_journal_make_spares_now(struct sp_journal *j);
/* Begins with segments that recovery found without their key; they are the journal's. */
void sp_forget_found(struct sp_journal *j, struct sp_segment **segments, size_t count);
/* Goes on with what is on its way out, if it does not run or wait to be told. */
void sp_forget_go_on(struct sp_journal *j);
/* Without the worker: frees what is on its way out; the next start finds it. */
void sp_forget_free(struct sp_journal *j);
/* Has the worker write the next footer that is missing. (footing.c) */
void sp_journal_make_footers(struct sp_journal *j);
/* At closing, once the worker has ended. */
void sp_journal_footing_end(struct sp_journal *j);
/* Takes what a job made, once the worker has ended. */
void sp_journal_job_collect(struct sp_journal *j, struct sp_journal_job *job);

#endif
