/*
 * What the files of `sallyport queue check|backup|restore` share: the settings, the keys, the shards' folders.
 */
#ifndef GATEWAY_CLI_SPOOL_SPOOL_H
#define GATEWAY_CLI_SPOOL_SPOOL_H

#include "audit/message.h"
#include "base/text.h"
#include "config/config.h"
#include "queue/check.h"

#include <sys/stat.h>
#include <sys/types.h>

#define SPOOL_PATH_MAX   4096
#define SPOOL_SHARDS_MAX 1024
#define SPOOL_MANIFEST   "backup.json" /* written last: a backup without it is none */

/* Exit codes. */
enum {
    SPOOL_OK = 0,
    SPOOL_DAMAGED = 1,
    SPOOL_USAGE = 64,
    SPOOL_NO_INPUT = 66,
    SPOOL_FAILED = 74,
    SPOOL_AGAIN = 75
};

struct spool_twin {
    struct sp_id id;
    unsigned shard;
};
/* Who waits, and where. */
struct spool_twins {
    struct spool_twin *at;
    size_t count;
};

struct spool {
    const char *config_path;
    const char *folder; /* --state: another state folder, a backup as a rule; else NULL */
    bool json;
    bool yes;
    const char *reason;
    bool quiet;         /* a check tells nothing */
    const char *target; /* the folder given */
    struct sp_config *config;
    char state[SPOOL_PATH_MAX];
    char master[SPOOL_PATH_MAX]; /* path of the master key */
    char beside
        [SPOOL_PATH_MAX]; /* what is kept beside it begins so: the same, unless it is a credential */
    bool is_master;       /* rotate: the master key, not the content key */
    const char *next;     /* rotate: file of the master key that comes next; else NULL */
    struct sp_journal_keys keys;
    struct sp_loop *loop; /* for its clock */
    struct spool_missing
        *missing; /* what is told of messages while a shard is opened; NULL: nobody asks */
    struct spool_twins twins; /* gathered where missing is asked for, too */
    unsigned shards[SPOOL_SHARDS_MAX];
    size_t shard_count;
};

/* Tells the audit of a backup that is whole; says on stderr if it can't. note.c */
void spool_note_backup(const struct spool *s, size_t messages);

#define SPOOL_NOTE "note" /* in the ledger's folder: for its next start (gateway/ledger/note.c) */
/* Tells the audit what was done with the master key, now or when the gateway starts; what: of gateway/ledger/note.c */
void spool_note_master(const struct spool *s, const char *what);

/* Says on stderr what went wrong, with --json as one object a line. returns: code; 0: it is but a remark */
int spool_fail(const struct spool *s, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* out: SPOOL_PATH_MAX bytes. returns: false if it is too long */
SP_MUST_CHECK bool spool_path(char *out, const char *folder, const char *name);

/* Appends a whole file. returns: false if it can't be read */
SP_MUST_CHECK bool spool_read_file(const char *path, struct sp_buf *out);

/* Appends what is left of an open file. returns: false if it can't be read, or is too long for out */
SP_MUST_CHECK bool spool_read_whole(int fd, struct sp_buf *out);

/*
 * Opens a file of a folder that a role writes to, to read it: a regular file; no symbolic link, pipe, or second name for a
 * file of somebody other than the folder's owner.
 *
 * is:      what it is
 * owner:   the caller, close
 * returns: -1 if there is none, errno says why
 */
SP_MUST_CHECK int spool_open_theirs(int folder, const char *name, struct stat *is);
/* Appends such a file. returns: false if it can't be read */
SP_MUST_CHECK bool spool_read_theirs(const char *path, struct sp_buf *out);

/* Derives the keys from what lies at s->master. returns: false if that is no key */
SP_MUST_CHECK bool spool_load_keys(struct spool *s);

/* Has a running gateway read its files anew. returns: false if it does not say yet who it is: it has just started */
bool spool_reload(const struct spool *s);

/* Finds the numbered folders below FOLDER/spool. returns: false if there is no such folder */
SP_MUST_CHECK bool spool_find_shards(struct spool *s, const char *folder);

/* Keeps gateways from starting on a state folder, made if absent. returns: what to close in the end; -1 if one runs on it */
SP_MUST_CHECK int spool_hold(const char *state);
/* returns: whether a gateway runs on that state folder */
bool spool_is_running(const char *state);

enum spool_how {
    SPOOL_LOOK, /* at every record */
    SPOOL_AS_START, /* only look, too, but as a start does: where a record is damaged, a footer may tell the same */
    SPOOL_WRITE,
};

/*
 * Opens a shard.
 *
 * owner:   the caller, sp_queue_close
 * returns: as sp_queue_open
 */
SP_MUST_CHECK enum sp_rc spool_open(struct spool *s, const char *folder, unsigned shard,
                                    enum spool_how how, struct sp_queue **out, struct sp_err *err);

/* ---- copy.c ---- */

/* Copies a file's first len bytes, its owner and mode, and syncs. Replaces, and follows no link. returns: whether all went well; so do the others */
SP_MUST_CHECK bool spool_copy_file(const char *from, const char *to, uint64_t len);
/* Makes a folder, unless it is there, with owner and mode of another; like: NULL for ours. returns: see above */
SP_MUST_CHECK bool spool_make_folder(const char *path, const char *like);

struct spool_walk {
    bool (*wants)(const char *name); /* of files; NULL: all */
    bool links;                      /* second names instead of copies */
    bool replaces;                   /* else what is there already stays */
};
/* Copies a folder with all below, and syncs it. What goes away meanwhile is left out. depth: 0. returns: see above */
SP_MUST_CHECK bool spool_walk(const struct spool_walk *w, const char *from, const char *to,
                              int depth);
/* returns: why the disk or the system refused what was just done, ": " before it; empty if it was neither */
const char *spool_why(void);
/* Makes the names in a folder durable; the name of the folder itself in the one above it. returns: see above */
SP_MUST_CHECK bool spool_sync_folder(const char *path);
SP_MUST_CHECK bool spool_sync_above(const char *path); /* returns: see above */
/* Removes a folder with all below. */
void spool_remove(const char *path);

/* The numbers of the segments in a folder, rising. owner: the caller. returns: NULL if there is none */
uint64_t *spool_list_segments(const char *folder, size_t *count);

/*
 * Segments go oldest first, so where one is held, and the next was gone before it could be, all up to there have ended: they are let go,
 * and their copies, or the copy would lack what they became in the next. One that is still there has lost its next, and stays.
 *
 * returns: whether there were such
 */
bool spool_drop_ended(const char *held, const char *from, const char *to);

/* ---- missing.c ---- */

/* A shard that was looked at: the oldest segment of which its log knows, lost or not; 0: none */
struct spool_begin {
    unsigned shard;
    uint64_t segment;
};

/*
 * Messages that the ledger has as accepted and not ended, and no shard holds: their records are lost, wherever they were. What a
 * shard's log says of their ends counts, as the ledger may not have read it yet.
 */
struct spool_missing {
    struct sp_audit_message **at; /* by id; at first all that the ledger has open */
    size_t count;
    struct spool_begin *begins; /* of all looks */
    size_t begin_count;
    bool
        is_known; /* else nobody can say: there is no ledger, it can't be read or is too old, or a shard can't be read */
    bool is_older; /* than the spool */
    bool is_torn;  /* a shard held still for no look */
};

/* Asks the ledger of a state folder; one that is not there knows of none. returns: false if it can't be read, once that is said */
SP_MUST_CHECK bool spool_missing_read(struct spool *s, const char *folder, struct spool_missing *m);
/* arg: struct spool_missing. Of a shard's opening */
void spool_missing_on_ended(void *arg, const struct sp_id *id, uint16_t n);
/* Of those that are left a shard holds some. */
void spool_missing_found(struct spool_missing *m, unsigned shard, const struct sp_queue *q);
/*
 * When all shards have been asked: those that have ended go, also those that the ledger has ended meanwhile. If it has not read what
 * a shard has let go of since, that is said: it comes from an earlier day, and nobody can say who is missing.
 *
 * returns: false if it was known so far who is missing and is not any more, once that is said
 */
SP_MUST_CHECK bool spool_missing_end(struct spool *s, const char *folder, struct spool_missing *m);
/* All of them: an array or, without w, lines. */
void spool_missing_put(const struct spool_missing *m, struct sp_jw *w);
void spool_missing_clear(struct spool_missing *m);

/* ---- twins.c ---- */

void spool_twins_take(struct spool_twins *t, unsigned shard, struct sp_queue *q);
/* Tells who waits in two shards, in words and as members of an array. Clears it. returns: how many */
size_t spool_twins_end(const struct spool *s, struct spool_twins *t, struct sp_jw *w);

/*
 * Reads the roles' databases below a state folder from end to end and tells of each.
 *
 * w:       as members of an array "databases"; NULL: words of those that are damaged
 * returns: how many are
 */
size_t spool_check_databases(const struct spool *s, const char *folder, struct sp_jw *w);

/* ---- check.c, repair.c, backup.c, restore.c ---- */

/* What a check came to. */
struct spool_found {
    size_t messages, damaged, records, segments, dropped;
    size_t closed; /* shards that can't be opened */
};

/* What can't be read, by id; cleared by spool_findings_clear. */
struct spool_findings {
    struct sp_queue_finding *at;
    size_t count;
    uint64_t *lost; /* segments of which something is lost, nobody knows whose */
    size_t lost_count;
};

/* Looks at all of a shard that was opened. By id, so that it is the same from call to call. */
void spool_findings_gather(struct spool_findings *f, struct sp_queue *q);
void spool_findings_clear(struct spool_findings *f);
/* One of them, as a member of an array or, without w, as a line. */
void spool_finding_put(const struct sp_queue_finding *finding, struct sp_jw *w);

/* Reads everything below folder and tells what is damaged. returns: SPOOL_OK, SPOOL_DAMAGED, SPOOL_FAILED */
int spool_check_folder(struct spool *s, const char *folder, bool is_running,
                       struct spool_found *found);
int spool_check(struct spool *s);   /* returns: an exit code; so do the others */
int spool_repair(struct spool *s);  /* returns: see above */
int spool_rotate(struct spool *s);  /* returns: see above */
int spool_master(struct spool *s);  /* returns: see above */
int spool_backup(struct spool *s);  /* returns: see above */
int spool_restore(struct spool *s); /* returns: see above */

#endif
