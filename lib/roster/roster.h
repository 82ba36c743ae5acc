/*
 * Rosters: the members of a list while it is being made, from a table (csv.h) or a directory (walk.h), and the text of the
 * file that the policy reads it from. Members have the one form that a list's entries have: lower case, domains in A-labels.
 * thread: any
 */
#ifndef SP_ROSTER_ROSTER_H
#define SP_ROSTER_ROSTER_H

#include "base/buf.h"

#define SP_ROSTER_FILE_MAX ((size_t)8 << 20) /* of a list's file, as configuration is read */

enum sp_roster_kind { SP_ROSTER_ADDRESSES, SP_ROSTER_DOMAINS };

struct sp_roster;

/* owner: the caller, to sp_roster_free. returns: an empty one */
struct sp_roster *sp_roster_new(enum sp_roster_kind kind);
void sp_roster_free(struct sp_roster *r);

/*
 * Adds a member as somebody wrote it.
 *
 * returns: SP_OK, SP_E_EXISTS if it is there already, SP_E_ADDR_SYNTAX or SP_E_ADDR_LONG if it can't be one
 */
SP_MUST_CHECK enum sp_rc sp_roster_add(struct sp_roster *r, struct sp_bytes text);

/* Notes how many members its source names and does not show; the file tells it. */
void sp_roster_set_missing(struct sp_roster *r, size_t count);

/* returns: how many members it has */
size_t sp_roster_count(const struct sp_roster *r);

/*
 * Appends the file's text: a line that says who keeps it, one of how many members are not to be found if there are such,
 * then the members, sorted. There is no date in it, so the same
 * members are the same text, and so the same version of the policy.
 *
 * source:  a word of ours or a name, as "import"
 * returns: SP_OK, or SP_E_LIMIT if it does not fit
 */
SP_MUST_CHECK enum sp_rc sp_roster_format(const struct sp_roster *r, const char *source,
                                          struct sp_buf *out);

/*
 * Members that a file's list would lose to a roster though their source still names them.
 *
 * named:   whom the source names without saying where they belong
 * returns: how many of them are in the file and not in the roster
 */
size_t sp_roster_lost(const struct sp_roster *r, const struct sp_roster *named,
                      struct sp_bytes file);

/* What a roster changes of a file that is there. */
struct sp_roster_change {
    size_t before, added, gone;     /* members */
    size_t missing_before, missing; /* members that the source named and did not show */
    bool is_kept;                   /* its first line says that this source keeps it */
};

/* Compares with the text of a file; an empty one is nobody's, and may be taken. */
void sp_roster_compare(const struct sp_roster *r, struct sp_bytes file, const char *source,
                       struct sp_roster_change *out);

#endif
