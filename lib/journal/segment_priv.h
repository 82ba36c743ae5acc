/*
 * A segment file and its keys. It is made under a spare name with its header and its keyring entry durable, and becomes
 * part of the log when it is renamed to its number. For the journal alone.
 */
#ifndef SP_JOURNAL_SEGMENT_PRIV_H
#define SP_JOURNAL_SEGMENT_PRIV_H

#include "journal/keyring_priv.h"

struct sp_segment {
    uint64_t number; /* 0: a spare */
    int fd;
    uint8_t salt[SP_SALT_LEN];
    struct sp_secret record_key;
    struct sp_secret content_key;
    bool is_gone;    /* its content key was not in the keyring when it was recovered */
    bool is_keyless; /* the same, and it is not on its way out: its bodies stay closed */
    bool
        is_headless; /* its header can't be read: neither can its records, only whom they are about */
    enum sp_half half; /* what of its header was damaged when it was opened */
    bool is_numbered;  /* the keyring names it, since it holds something */
    bool is_footed;    /* it has a footer, or is not to get one */
    uint64_t len;      /* room, bytes */
    uint64_t end;      /* durable end, as the loop knows it; exact once the next one is there */
    uint64_t prev_end; /* of the segment before, when this one was taken into use in this run */
    bool prewritten;   /* all of len has been written: syncs need no journal commit */
    char spare[SP_SEGMENT_NAME_MAX];
};

/* What making segments takes. */
struct sp_segment_maker {
    const struct sp_journal_io *io;
    struct sp_keyring *keyring;
    const struct sp_random *random;
    struct sp_secret record_kek;
    char kek_id[SP_JOURNAL_KEK_ID_MAX];
};

/*
 * Makes a spare: file, header, keyring entry, all durable but for the folder's entry.
 *
 * prewrite: fill all of len with zeroes; else the file grows as it is written
 * owner:    the caller, of *out
 * returns:  SP_E_JOURNAL_FULL, SP_E_IO; nothing is then left behind
 */
SP_MUST_CHECK enum sp_rc sp_segment_make(const struct sp_segment_maker *m, uint64_t len,
                                         bool prewrite, struct sp_segment **out);

/* Gives a spare its number and makes that durable. returns: SP_E_JOURNAL_FULL, SP_E_IO */
SP_MUST_CHECK enum sp_rc sp_segment_number(const struct sp_segment_maker *m, struct sp_segment *s,
                                           uint64_t number);

/*
 * Opens a segment that is there. returns: SP_E_JOURNAL_DAMAGED if its header is not intact, SP_E_CRYPT_AUTH if it is of
 * another record KEK, SP_E_NOT_FOUND if the file is gone, SP_E_IO. A content key that is gone is no error.
 */
SP_MUST_CHECK enum sp_rc sp_segment_open(const struct sp_journal_io *io,
                                         const struct sp_secret *record_kek, uint64_t number,
                                         struct sp_segment **out);

/*
 * Writes that of the two headers anew which is damaged or absent; the other is not touched. What it is read from stays, so
 * one that fails costs nothing. returns: SP_E_IO
 */
SP_MUST_CHECK enum sp_rc sp_segment_mend(const struct sp_journal_io *io,
                                         const struct sp_segment *s);

/* Closes its file, wipes its keys. NULL is allowed. */
void sp_segment_free(const struct sp_journal_io *io, struct sp_segment *s);

/* Removes a spare that is not used after all. */
void sp_segment_drop(const struct sp_segment_maker *m, struct sp_segment *s);

/* Writes iov at offset, however many calls that takes. Changes iov. returns: 0 or -errno */
int sp_write_fully(const struct sp_journal_io *io, int fd, struct iovec *iov, int count,
                   int64_t offset);

/* Reads up to len bytes; fewer only at the end of the file. returns: bytes, or -errno */
ssize_t sp_read_fully(const struct sp_journal_io *io, int fd, void *out, size_t len,
                      int64_t offset);

#endif
