/*
 * The ledger's parts: one loop that folds journals into the books (tail.c), takes acts into a journal of its own (act.c),
 * tells relays of postures (posture.c) and answers questions (command.c, prove.c). The disk work of folding blocks this
 * loop; nobody but the ledger's own peers waits for it.
 */
#ifndef SP_LEDGER_LEDGER_H
#define SP_LEDGER_LEDGER_H

#include <stdatomic.h>

#include "audit/book.h"
#include "base/map.h"
#include "config/config.h"
#include "io/worker.h"
#include "jobs/jobs.h"
#include "journal/reader.h"
#include "role/role.h"

#define LEDGER_OWN_SHARD "ledger" /* name of the ledger's own journal in cursors and lines */
#define LEDGER_PATH_MAX  4096
#define LEDGER_REQUESTS  64 /* acts whose ids are remembered */

/* A journal that is being read. */
struct shard {
    struct sp_list link;
    char *name;
    struct sp_journal_io io;
    bool io_open;
    struct sp_journal_reader *reader;
    uint64_t passed; /* segments before this one are folded, durably */
};

struct ledger {
    struct sp_role *role;
    struct sp_loop *loop;
    struct sp_log *log;
    const struct sp_clock *clock;
    struct sp_config *config;
    struct sp_jobs *jobs;
    struct sp_worker *worker;
    struct sp_secret record_kek;
    struct sp_secret address_key; /* of pseudonyms in audit lines */
    struct sp_audit_signer signer;
    char *node;
    char *file; /* path of the audit file */
    struct sp_audit_book *book;

    struct sp_list shards;
    struct sp_timer *tick;
    int64_t scan_at_ms;    /* monotonic: when to look for new shards */
    int64_t folded_at_ms;  /* monotonic: last turn */
    int64_t trimmed_at_ms; /* monotonic: free memory was given back */
    bool untrimmed;        /* something was folded since */
    int64_t clock_off_ms;  /* of the wall clock from the steady one, at the last turn */
    bool stopping;
    bool failed;        /* the books have: the process is about to end */
    atomic_bool ending; /* for the worker: what it has not begun is not worth doing */
    bool has_old; /* a question is put again: its lines of ended files are lent to the books */

    struct sp_journal_io own_io;
    bool own_io_open;
    struct sp_journal *own;
    size_t acts_open; /* appended, not durable yet */

    struct sp_list asked;       /* struct ledger_asked: what the worker is at */
    struct sp_list wish_relays; /* that were told what recipients have chosen */
    struct sp_timer *wish_again;

    struct sp_id requests[LEDGER_REQUESTS]; /* done last; request.c */
    size_t request_count;                   /* since the start */

    struct ledger_reports *reports; /* NULL: none are sent */
};

/* key.c */
SP_MUST_CHECK enum sp_rc ledger_key_load(struct ledger *l, struct sp_err *err);
/* Makes it last what names its folder has. returns: whether that went well; else errno says why */
bool ledger_sync(const struct ledger *l);
/* Answers with the facts of a message, or (id NULL) of all since so many days. */
void ledger_facts(struct ledger *l, struct sp_jobs_job *job, const struct sp_id *id, int64_t days,
                  struct sp_bytes actor);
/* Answers with the text of a policy version that decided once. */
void ledger_facts_policy(struct ledger *l, struct sp_jobs_job *job, struct sp_bytes hash,
                         struct sp_bytes actor);
/* Tells the books which policy is in effect. returns: SP_OK, or what the database said */
SP_MUST_CHECK enum sp_rc ledger_policy_tell(struct ledger *l, struct sp_err *err);
/* Tells what of the files that say who may send has changed. returns: SP_OK or the failure of the book */
SP_MUST_CHECK enum sp_rc ledger_files_tell(struct ledger *l, struct sp_err *err);
SP_MUST_CHECK enum sp_rc ledger_path(struct sp_buf *out, const char *folder, const char *name);

/* tail.c */
void ledger_tail_start(struct ledger *l);
void ledger_tail_poke(struct ledger *l);
void ledger_tail_now(struct ledger *l);    /* the same, without a word to the outside */
void ledger_tail_finish(struct ledger *l); /* folds what is there, to the end */
void ledger_tail_free(struct ledger *l);
struct shard *ledger_shard(struct ledger *l, struct sp_bytes name); /* NULL: none of that name */
struct shard *ledger_tail_shard(struct ledger *l,
                                struct sp_bytes name); /* the same; looks for new ones */

/* act.c */
SP_MUST_CHECK enum sp_rc ledger_act_open(struct ledger *l, struct sp_err *err);
void ledger_act_folded(struct ledger *l, uint64_t passed);
void ledger_act_close(struct ledger *l);

/* posture.c */
void ledger_posture_serve(struct ledger *l);
/* returns: SP_E_NOT_FOUND if an event renews evidence that is not here: it must come whole */
enum sp_rc ledger_posture_check(const struct ledger *l, const struct sp_json *event);
void ledger_posture_tell(struct ledger *l);

/* asked.c: what is asked of the worker begins with one of these. thread: loop */
struct ledger_asked {
    struct sp_list link;
    struct ledger *l; /* NULL: it has gone */
};
void ledger_asked_begin(struct ledger *l, struct ledger_asked *a);
/* returns: false if the ledger has gone, and the job with it: what was asked is only freed then */
bool ledger_asked_end(struct ledger_asked *a);
/* The ledger goes; the worker has ended. */
void ledger_asked_leave(struct ledger *l);

/* What the command line asks. */
struct ledger_question {
    const struct sp_json *ask;
    struct sp_bytes actor; /* JSON object */
};

/* remembered.c: what is known of domains, shown and changed by an administrator */
void ledger_posture_list(struct ledger *l, struct sp_jobs_job *job,
                         const struct ledger_question *q);
void ledger_posture_accept(struct ledger *l, struct sp_jobs_job *job,
                           const struct ledger_question *q);
void ledger_posture_forget(struct ledger *l, struct sp_jobs_job *job,
                           const struct ledger_question *q);

/* suppress.c: addresses that are not tried */
void ledger_suppress_serve(struct ledger *l);
void ledger_suppress_tell(struct ledger *l);
void ledger_suppress_list(struct ledger *l, struct sp_jobs_job *job,
                          const struct ledger_question *q);
void ledger_suppress_add(struct ledger *l, struct sp_jobs_job *job,
                         const struct ledger_question *q);
void ledger_suppress_remove(struct ledger *l, struct sp_jobs_job *job,
                            const struct ledger_question *q);

/* contacts.c: whom tenants write to */
void ledger_contacts_serve(struct ledger *l);
void ledger_contacts_tell(struct ledger *l);

/* wishes.c: what recipients have chosen in the portal */
void ledger_wishes_serve(struct ledger *l);
void ledger_wishes_free(struct ledger *l);
void ledger_wishes_tell(struct ledger *l);
void ledger_wishes_list(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q);
void ledger_wishes_forget(struct ledger *l, struct sp_jobs_job *job,
                          const struct ledger_question *q);
/* returns: SP_E_LIMIT if the event is one that there is no room for */
enum sp_rc ledger_wishes_check(struct ledger *l, const struct sp_json *event);

/* approve.c: policy versions that wait for a second person */
void ledger_policy_propose(struct ledger *l, struct sp_jobs_job *job,
                           const struct ledger_question *q);
void ledger_policy_approve(struct ledger *l, struct sp_jobs_job *job,
                           const struct ledger_question *q);
void ledger_policy_proposals(struct ledger *l, struct sp_jobs_job *job,
                             const struct ledger_question *q);

/* request.c: acts that may be asked for again */
bool ledger_request_is_done(const struct ledger *l, const struct ledger_question *q);
/* Notes that it is on record. */
void ledger_request_done(struct ledger *l, const struct ledger_question *q);
/* Writes its id into a record, if it has one. */
void ledger_request_put(const struct ledger_question *q, struct sp_jw *w);

/* preference.c */
void ledger_preference_set(struct ledger *l, struct sp_jobs_job *job,
                           const struct ledger_question *q);
void ledger_preference_removed(struct ledger *l, struct sp_jobs_job *job,
                               const struct ledger_question *q);
void ledger_preference_failed(struct ledger *l, struct sp_jobs_job *job,
                              const struct ledger_question *q);

/* recall.c */
void ledger_recall(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q);

/* tlsrpt.c */
void ledger_tlsrpt_show(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q);

/* trace.c: message.trace */
void ledger_trace(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q);

/* The line of that number, parsed; NULL if it is none of the message or can't be read. owner: the caller */
struct sp_json_doc *ledger_line(struct ledger *l, const struct sp_audit_message *m, uint64_t seq);

/* pseudonym.c: addresses that stand as keyed hashes in the lines */
SP_MUST_CHECK enum sp_rc ledger_pseudonym_key(struct ledger *l, struct sp_err *err);
/* returns: the address that a line's value names, in arena; empty where it can't be told */
struct sp_bytes ledger_address(struct ledger *l, const struct sp_json *value,
                               struct sp_arena *arena);
/* returns: the same as it stands there: an address, or a pseudonym with its domain */
struct sp_bytes ledger_shown(struct ledger *l, const struct sp_json *value, struct sp_arena *arena);
typedef struct sp_bytes (*ledger_address_fn)(struct ledger *l, const struct sp_json *value,
                                             struct sp_arena *arena);
void ledger_pseudonym_tell(struct ledger *l, struct sp_jobs_job *job,
                           const struct ledger_question *q);
void ledger_pseudonym_reveal(struct ledger *l, struct sp_jobs_job *job,
                             const struct ledger_question *q);

/* note.c: what a command has done by itself */
/* Says what was left for it while no gateway ran. returns: SP_OK or the failure of the book */
SP_MUST_CHECK enum sp_rc ledger_note_left(struct ledger *l, struct sp_err *err);
void ledger_note(struct ledger *l, struct sp_jobs_job *job, const struct ledger_question *q);

/*
 * old.c: the lines of messages that are in files that have ended; before the first line is asked for.
 *
 * again:   is called with l and the job once they are there, and must ask this first, too
 * returns: false if they are not there yet: the job is in hand, and nothing of it has been done
 */
SP_MUST_CHECK bool ledger_old_ready(struct ledger *l, struct sp_jobs_job *job,
                                    const struct sp_id *ids, size_t count,
                                    void (*again)(void *arg, struct sp_jobs_job *job));

/* origin.c: whose message it was */
void ledger_origin_serve(struct ledger *l);
/*
 * accepted: its line, or NULL
 * read:     how a line's value is read: ledger_address, or ledger_shown
 * returns:  a message's recipients as they were sent to, in arena; empty where not known
 */
struct sp_bytes *ledger_recipients(struct ledger *l, const struct sp_audit_message *m,
                                   const struct sp_json *accepted, struct sp_arena *arena,
                                   ledger_address_fn read);

/* reports.c: TLS reports, day by day */
void ledger_reports_start(struct ledger *l);
void ledger_reports_poke(struct ledger *l); /* looks soon whether something is due */
void ledger_reports_free(struct ledger *l);

/* command.c, prove.c */
void ledger_reply_json(struct sp_jobs_job *job, enum sp_rc rc, struct sp_bytes json);
void ledger_command_serve(struct ledger *l);
void ledger_command(void *arg, struct sp_jobs_job *job); /* arg: struct ledger; a handler of jobs */
void ledger_prove(struct ledger *l, struct sp_jobs_job *job, const struct sp_id *id,
                  struct sp_bytes actor);
void ledger_reply_error(struct sp_jobs_job *job, enum sp_rc rc, const char *text);

#endif
