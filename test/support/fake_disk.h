/*
 * A disk in memory behind the journal's I/O table. It records every operation, fails the one that a test names, and can
 * crash: what a later start finds is rebuilt from the record, with what was not synced kept, lost, or kept in part.
 */
#ifndef SP_TEST_SUPPORT_FAKE_DISK_H
#define SP_TEST_SUPPORT_FAKE_DISK_H

#include "journal/io.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake_disk;

/* What an operation of the record was. */
enum fake_op {
    FAKE_CREATE,
    FAKE_WRITE,
    FAKE_SYNC,
    FAKE_SYNC_FOLDER,
    FAKE_RENAME,
    FAKE_UNLINK,
    FAKE_WRITE_BACK, /* changes nothing */
    FAKE_TRUNCATE,
};

/* What survives a crash of what was not synced. */
enum fake_crash {
    FAKE_CRASH_ALL,  /* everything: the process was killed */
    FAKE_CRASH_NONE, /* nothing: the power went, nothing was written back */
    FAKE_CRASH_SOME, /* some sectors, and the first few changes of folders, by the seed */
};

/* owner: the caller */
struct fake_disk *fake_disk_new(void);
void fake_disk_free(struct fake_disk *d);

/* returns: the table to hand to what is tested; lent */
const struct sp_journal_io *fake_disk_io(struct fake_disk *d);

/* returns: how many operations were recorded; a position in time for fake_disk_crash */
size_t fake_disk_now(struct fake_disk *d);
/* returns: how many of that kind there were since position `from` */
size_t fake_disk_count(struct fake_disk *d, enum fake_op kind, size_t from);
/* returns: whether every write to a segment file before position `at` was followed by a good sync before `at` */
bool fake_disk_is_synced(struct fake_disk *d, size_t at);

/*
 * The n-th operation of that kind from now on (1: the next) fails with errnum; with `forever` all from then on do.
 * A write that fails may still have written its first half.
 */
void fake_disk_fail(struct fake_disk *d, enum fake_op kind, size_t n, int errnum, bool forever);
/* No more failures. */
void fake_disk_mend(struct fake_disk *d);
/* Writes take at most so many bytes a call; 0: any. */
void fake_disk_short_writes(struct fake_disk *d, size_t at_most);
/* Room for so many more bytes in files; then ENOSPC. */
void fake_disk_set_room(struct fake_disk *d, size_t bytes);

/* A new disk as it would be found had all stopped at position `at`. owner: the caller */
struct fake_disk *fake_disk_crash(struct fake_disk *d, size_t at, enum fake_crash how,
                                  uint64_t seed);

/* Looks into and changes files behind everybody's back. returns: length of the file, -1 if there is none */
int64_t fake_disk_len(struct fake_disk *d, const char *name);
void fake_disk_peek(struct fake_disk *d, const char *name, size_t offset, void *out, size_t len);
void fake_disk_poke(struct fake_disk *d, const char *name, size_t offset, const void *data,
                    size_t len);
void fake_disk_cut(struct fake_disk *d, const char *name, size_t len);
/* returns: number of files whose name begins so */
size_t fake_disk_files(struct fake_disk *d, const char *prefix);

#endif
