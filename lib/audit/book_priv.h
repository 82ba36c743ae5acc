/*
 * audit's own: what the files that keep the books share.
 */
#ifndef SP_AUDIT_BOOK_PRIV_H
#define SP_AUDIT_BOOK_PRIV_H

#include "audit/book.h"
#include "audit/contacts.h"
#include "base/map.h"
#include "crypt/aead.h"
#include "store/store.h"

struct sp_audit_domain {
    struct sp_list changed; /* in the book's list, or alone */
    struct sp_list dirty;   /* in the list of those that differ from the database, or alone */
    char *name;
    enum sp_floor best;
    int64_t proved_at_ms;
    int64_t accepted_at_ms;
    char *host;        /* that proved it */
    char *evidence;    /* digests that the line cited, by spaces */
    char *now;         /* what was seen last: a level, or "broken" */
    int64_t now_at_ms; /* since when */
    char *sts;         /* text of its MTA-STS policy, or NULL */
    char *sts_id;
    int64_t sts_fetched_at_ms;
    int64_t sts_until_ms;
    struct sp_list hosts; /* what each of its hosts has proved: hosts.c */
    size_t host_count;
    bool hosts_changed; /* since they were written */
};

#define SP_AUDIT_CONTACTS_TOLD 4096 /* more at once are told when the relays start */

struct sp_policy_contacts;

struct sp_audit_book {
    struct sp_store *store;
    struct sp_journal_io own_io;    /* the real disk, if none was given */
    const struct sp_journal_io *io; /* of the file's folder */
    struct sp_audit_trail *trail;
    char *path; /* of the file */
    uint64_t rotate_len;
    int64_t rotate_every_ms;
    int64_t keep_ms;
    int64_t known_wall_ms; /* of the newest checkpoint before this start, */
    int64_t known_mono_ms; /* and when that was read */
    uint64_t base;       /* bytes in the files before this one: places count from the very first */
    uint64_t file_first; /* seq of this file's first line */
    int64_t file_at_ms;  /* when that was */
    bool rotating;       /* the next file is committed, and not begun: */
    uint64_t rotated_first;         /* behind this one */
    const struct sp_audit_old *old; /* lent: lines of ended files that were read already */
    struct sp_audit_signer signer;
    const struct sp_clock *clock;
    struct sp_log *log;
    uint64_t checkpoint_records;
    int64_t checkpoint_ms;

    bool in_transaction;
    bool broken; /* the database has failed: what lies in memory is not what lies there */
    bool dirty;  /* lines or cursors since the last commit */
    struct sp_audit_state state;
    struct sp_buf tail;      /* lines that are not in the file yet */
    size_t tail_committed;   /* of them, bytes that lie in the database */
    uint64_t checkpoint_seq; /* of the newest checkpoint; 0: none */
    int64_t checkpoint_at_ms;
    int64_t unsigned_since_ms; /* steady time of the first line after it; 0: there is none */
    struct sp_map *messages;   /* touched since the last commit: id -> struct sp_audit_message */
    struct sp_map *cursors;    /* moved since the last commit: shard -> struct sp_journal_cursor */
    struct sp_audit_message *asked; /* lent by sp_audit_book_message */
    struct sp_aead *facts;          /* NULL: facts are not kept */
    bool hides;                     /* addresses stand as pseudonyms */
    struct sp_secret pseudonym_key;

    struct sp_map *domains;         /* name -> struct sp_audit_domain */
    struct sp_list changed_domains; /* nobody was told yet */
    struct sp_list dirty_domains;
    struct sp_map *addresses; /* that are not tried: name -> struct sp_audit_address */
    struct sp_list changed_addresses;
    struct sp_list dirty_addresses;
    size_t addresses_max;
    int64_t addresses_full_until_ms; /* no room, and nobody's time is over before this */
    char tlsrpt_day[16];             /* of the last session counted */
    char *organization;              /* in TLS reports */

    struct sp_policy_contacts *contacts; /* NULL: none are kept */
    struct sp_secret contact_key;
    int64_t contacts_since_ms;
    int64_t contacts_keep_ms;
    uint16_t contacts_day;    /* when those whose time is over were last forgotten, */
    uint16_t contacts_oldest; /* which are all of an earlier day than this */
    struct sp_audit_contact told[SP_AUDIT_CONTACTS_TOLD]; /* learnt, and nobody was told yet */
    size_t told_count;

    struct sp_list told_wishes;           /* learnt, and nobody was told yet */
    struct sp_audit_told_wish *told_wish; /* lent by sp_audit_book_wish_changed */
    size_t wish_count;
    size_t wishes_max;
};

/* An event that has become a line. */
struct sp_audit_told {
    uint64_t seq;
    struct sp_audit_line line; /* owner: whoever asked */
};

/* What a record's events have in common. */
struct sp_audit_context {
    const char *shard; /* NULL: the ledger's own */
    const struct sp_journal_entry *entry;
    int64_t time_ms;
    uint32_t part; /* of the next event */
};

/* rotate.c: completes a rotation that a crash has broken off. returns: SP_E_STORE_FAILED, SP_E_IO */
SP_MUST_CHECK enum sp_rc sp_audit_rotate_recover(struct sp_audit_book *b,
                                                 const struct sp_journal_io *io, const char *name,
                                                 struct sp_err *err);
/* Begins the new file on the disk. returns: SP_E_IO; it is tried again */
SP_MUST_CHECK enum sp_rc sp_audit_rotate_finish(struct sp_audit_book *b);
/* A file that has ended; its bytes count from those of the very first. */
struct sp_audit_ended {
    uint64_t first;
    uint64_t base;
    uint64_t len;
};
struct sp_audit_source;
/* Which file holds the byte at offset. returns: SP_E_AUDIT_INCOMPLETE if it was removed, SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_rotate_find(const struct sp_audit_book *b, uint64_t offset,
                                              struct sp_audit_ended *out);
/* Opens one, compressed or not. owner: the caller. returns: SP_E_AUDIT_INCOMPLETE if it is not there, SP_E_IO */
SP_MUST_CHECK enum sp_rc sp_audit_rotate_open(const char *file, uint64_t first,
                                              struct sp_audit_source **out);
struct sp_audit_old;
/* Copies a line that was read. returns: SP_E_NOT_FOUND if old (may be NULL) has no such line; else how its reading went */
SP_MUST_CHECK enum sp_rc sp_audit_old_get(const struct sp_audit_old *old,
                                          const struct sp_audit_place *place, void *out);
/* returns: the time, no later than the wall clock says, nor than what was signed before this start and the time since: a leap
 * ends nothing */
int64_t sp_audit_book_sure_ms(const struct sp_audit_book *b);
/* returns: where the tail begins, from the beginning of the very first file */
uint64_t sp_audit_book_end(const struct sp_audit_book *b);

/* Remembers a failure of the database for good. returns: rc */
enum sp_rc sp_audit_book_note(struct sp_audit_book *b, enum sp_rc rc);

/* Starts the transaction of this batch unless it runs. returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_book_begin(struct sp_audit_book *b, struct sp_err *err);

/*
 * Makes an event a line: chain, tail, and the message's list of lines.
 *
 * told:    out: to sp_audit_line_clear; may be NULL
 * returns: SP_E_MALFORMED, SP_E_LIMIT if it is no event (nothing is written then), SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_book_tell(struct sp_audit_book *b, struct sp_audit_context *c,
                                            struct sp_bytes event, struct sp_audit_told *told,
                                            struct sp_err *err);

/* Says that something could not be recorded. returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_book_gap(struct sp_audit_book *b, struct sp_audit_context *c,
                                           const char *reason, const char *detail, int64_t bytes,
                                           struct sp_err *err);

/* A message to change: lent until the commit, which stores it. returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_book_touch(struct sp_audit_book *b, const struct sp_id *id,
                                             struct sp_audit_message **out, struct sp_err *err);

/* Learns from delivery.attempted, transport.posture-accepted and the MTA-STS policies of evidence.recorded and evidence.renewed. */
void sp_audit_posture_learn(struct sp_audit_book *b, const struct sp_audit_line *line);

/* returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_posture_load(struct sp_audit_book *b, struct sp_err *err);
SP_MUST_CHECK enum sp_rc sp_audit_posture_store(struct sp_audit_book *b, struct sp_err *err);
void sp_audit_posture_free(struct sp_audit_book *b);

/* What an attempt saw of a host. */
struct sp_audit_seen {
    struct sp_bytes host;
    struct sp_bytes now;      /* a level, or "broken" */
    enum sp_floor level;      /* plain: nothing was proved */
    struct sp_bytes evidence; /* digests, by spaces */
    int64_t time_ms;
};

/* returns: whether there is something to write */
bool sp_audit_hosts_learn(struct sp_audit_domain *d, const struct sp_audit_seen *seen);
/* Forgets the domain's hosts. */
void sp_audit_hosts_clear(struct sp_audit_domain *d);
/* Load: behind the domains. returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_hosts_load(struct sp_audit_book *b, struct sp_err *err);
SP_MUST_CHECK enum sp_rc sp_audit_hosts_store(struct sp_audit_book *b, struct sp_audit_domain *d,
                                              struct sp_err *err);

/* Learns from list.changed of the list "suppression". */
void sp_audit_suppress_learn(struct sp_audit_book *b, const struct sp_audit_line *line);
/* returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_suppress_load(struct sp_audit_book *b, struct sp_err *err);
SP_MUST_CHECK enum sp_rc sp_audit_suppress_store(struct sp_audit_book *b, struct sp_err *err);
void sp_audit_suppress_free(struct sp_audit_book *b);

/* Keeps whom a message is for, until it has got there. */
void sp_audit_contact_note(struct sp_audit_book *b, struct sp_audit_message *m,
                           const struct sp_accept *accept);
/* Learns of a recipient whom mail has reached, or the notice of its package. returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_contact_learn(struct sp_audit_book *b,
                                                const struct sp_audit_message *m, uint16_t n,
                                                struct sp_err *err);
/* returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_contact_load(struct sp_audit_book *b,
                                               const struct sp_audit_book_options *options,
                                               struct sp_err *err);
void sp_audit_contact_free(struct sp_audit_book *b);

/* Learns from preference.changed of source "recipient". returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_wish_learn(struct sp_audit_book *b,
                                             const struct sp_audit_line *line, struct sp_err *err);
/* returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_wish_load(struct sp_audit_book *b, struct sp_err *err);
void sp_audit_wish_free(struct sp_audit_book *b);

/* Puts a message into the index of ids that others gave. returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_origin_store(struct sp_audit_book *b,
                                               const struct sp_audit_message *m,
                                               struct sp_err *err);
/* Makes the index of books that have none. returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_origin_load(struct sp_audit_book *b, struct sp_err *err);

/*
 * Puts pseudonyms in place of the addresses in the line at the end of the tail, and keeps which is whose.
 *
 * from:    where the line begins
 * returns: SP_E_LIMIT, SP_E_MALFORMED if that makes no line, SP_E_STORE_FAILED
 */
SP_MUST_CHECK enum sp_rc sp_audit_pseudonym_line(struct sp_audit_book *b, size_t from,
                                                 const struct sp_audit_line *line,
                                                 struct sp_err *err);

/* Counts the sessions of a delivery.attempted. returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_tlsrpt_learn(struct sp_audit_book *b,
                                               const struct sp_audit_line *line,
                                               struct sp_err *err);

/* Appends the report-id: "2026-11-21.example.net@node". */
void sp_audit_tlsrpt_put_id(const struct sp_audit_book *b, const struct sp_audit_tlsrpt_ask *ask,
                            struct sp_buf *out);

/* Learns of a report's mail in a queue from its message.accepted. returns: SP_E_STORE_FAILED */
SP_MUST_CHECK enum sp_rc sp_audit_reports_learn(struct sp_audit_book *b,
                                                const struct sp_audit_line *line,
                                                struct sp_err *err);

#endif
