/*
 * A simulated disk behind the journal's I/O table (and, in vfs.c, behind SQLite). It keeps apart what a process sees and
 * what is on the platter: bytes are durable after a good sync of their file, names after a good sync of their folder, and
 * bytes whose sync failed never again until they are written anew, as Linux does it. Every operation is recorded, so that
 * the power can go at any of them: what was not durable then survives whole, not at all, or in parts chosen by a seed.
 */
#ifndef SP_TEST_POWER_DISK_H
#define SP_TEST_POWER_DISK_H

#include "journal/io.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POWER_NAME_MAX 96
#define POWER_SITE_MAX 80
#define POWER_SITES    64

struct power_disk;
struct power_walk;

enum power_op {
    POWER_CREATE,
    POWER_WRITE,
    POWER_TRUNCATE,
    POWER_SYNC,
    POWER_SYNC_FOLDER,
    POWER_RENAME,
    POWER_UNLINK,
    POWER_MKDIR,
    POWER_OPS,
};

/* What survives of that which is not durable. */
enum power_crash {
    POWER_ALL,  /* everything: the processes were killed, and everything was written back later */
    POWER_NONE, /* nothing was written back */
    POWER_SOME, /* sectors, pages or whole writes, and changes of folders in order or in any order, by the seed */
    POWER_CRASHES,
};

/* owner: the caller */
struct power_disk *power_disk_new(void);
void power_disk_free(struct power_disk *d);
/* A folder that is there, durably. */
void power_disk_folder(struct power_disk *d, const char *folder);

/* The table for what lives below a folder. out: lent as long as the disk */
struct power_view {
    struct power_disk *disk;
    char folder[POWER_NAME_MAX];
    struct sp_journal_io io;
};
void power_view_init(struct power_view *v, struct power_disk *d, const char *folder);

/* returns: how many operations were recorded: a moment for power_walk_to */
size_t power_disk_now(const struct power_disk *d);
/* returns: how many could have failed so far: what power_disk_fail counts */
size_t power_disk_passed(const struct power_disk *d);

/* The processes are dead: nothing has an effect from now on, until it is thawed for those who start next. */
void power_disk_freeze(struct power_disk *d, bool frozen);
/* The same after so many more operations: a process killed in the middle of something. */
void power_disk_freeze_in(struct power_disk *d, size_t operations);
bool power_disk_is_frozen(const struct power_disk *d);

/*
 * Operations number first to first + count - 1 that could fail do so with errnum; a write has then put half of its bytes
 * there. errnum 0: writes are cut short, all others do well. kinds: mask of 1 << enum power_op
 */
struct power_fault {
    size_t first;
    size_t count;
    int errnum;
    unsigned kinds;
};
void power_disk_fail(struct power_disk *d, const struct power_fault *fault);
/* Reads number first to first + count - 1 fail with errnum. They are no operations: they change nothing, and are counted by themselves. */
void power_disk_fail_reads(struct power_disk *d, const struct power_fault *fault);
/* returns: how many reads there were so far */
size_t power_disk_reads(const struct power_disk *d);
/* Room for so many more bytes in files, then ENOSPC; SIZE_MAX: any. */
void power_disk_room(struct power_disk *d, size_t bytes);
/* returns: the first file that was synced well after a failed sync of the same bytes: relying on that is wrong; or NULL */
const char *power_disk_false_sync(const struct power_disk *d);

/*
 * Mutation: syncs at the sites named so (NULL: none) are left out, though they say that they did well. A site is what
 * was synced and, for a folder, what had been changed in it: "spool folder after rename keyring".
 */
void power_disk_skip(struct power_disk *d, const char *site);
/* returns: the i-th site passed so far, NULL behind the last */
const char *power_disk_site(const struct power_disk *d, size_t i);

/* ---- files by name, for the harness ---- */

/* returns: length, -1 if there is none */
int64_t power_disk_len(struct power_disk *d, const char *name);
/* Reads a whole file. owner: the caller, of the bytes. returns: NULL if there is none */
uint8_t *power_disk_read(struct power_disk *d, const char *name, size_t *len);
/* Calls visit with each file's name. */
void power_disk_each(struct power_disk *d, void (*visit)(void *arg, const char *name), void *arg);
/* Flips a bit behind everybody's back. */
void power_disk_flip(struct power_disk *d, const char *name, size_t offset);

/* ---- the power goes ---- */

/* Walks through the record from its beginning. owner: the caller. disk: lent */
struct power_walk *power_walk_new(struct power_disk *disk);
void power_walk_free(struct power_walk *w);
/* Goes on to a later moment. */
void power_walk_to(struct power_walk *w, size_t at);
/* returns: operations that are not durable at this moment */
size_t power_walk_open(const struct power_walk *w);
/* A disk as it is found if the power goes now. owner: the caller, before the walk goes on */
struct power_disk *power_walk_crash(struct power_walk *w, enum power_crash how, uint64_t seed);

/* ---- for vfs.c: whole names, no table ---- */

int power_open(struct power_disk *d, const char *name, enum sp_io_open how);
ssize_t power_write(struct power_disk *d, int fd, const void *data, size_t len, int64_t offset);
ssize_t power_read(struct power_disk *d, int fd, void *out, size_t len, int64_t offset);
int power_truncate(struct power_disk *d, int fd, int64_t len);
int power_sync(struct power_disk *d, int fd);
int power_sync_folder(struct power_disk *d, const char *folder);
int power_unlink(struct power_disk *d, const char *name);

/* A number of a sequence that repeats. */
uint64_t power_random(uint64_t *state);

#endif
