/*
 * Tables of people, as Microsoft 365, Google, a personnel system or a spreadsheet export them (RFC 4180), into rosters: one a
 * group. thread: any
 */
#ifndef SP_ROSTER_CSV_H
#define SP_ROSTER_CSV_H

#include "json/problem.h"
#include "roster/roster.h"

#define SP_ROSTER_CSV_MAX    ((size_t)64 << 20) /* of a table */
#define SP_ROSTER_GROUPS_MAX 1000

/* One that the table names. */
struct sp_roster_group {
    const char *name; /* of the list: a to z, 0 to 9 and hyphens */
    struct sp_roster *roster;
};

struct sp_roster_groups {
    struct sp_roster_group *items;
    size_t count;
    struct sp_roster *ungrouped; /* who stands in rows whose groups are all empty */
    size_t rows;                 /* behind the heading, with anything in them */
    size_t doubles;              /* members that stood there before */
    size_t left_out;             /* rows that name no group, or none that is wanted */
};

/* owner: the caller */
void sp_roster_groups_free(struct sp_roster_groups *g);
SP_AUTO_DEFINE(sp_roster_groups)

/* The lists that are wanted; count 0: every group. A table without groups is the members of the one list that is wanted. */
struct sp_roster_wanted {
    const char *const *names;
    size_t count;
};

/*
 * Reads a table: UTF-8, with or without a byte order mark, separated by commas, semicolons or tabs. The first row names the
 * columns: one of addresses or domains, and one or more of groups; others are left out. A cell may name several groups, with
 * ";" or "|" between them.
 *
 * file:     its name, for problems, which name line and column
 * returns:  SP_OK, or the first error's code with all (at most 100) in problems; then nothing of it may be used
 * owner:    the caller frees *out
 */
SP_MUST_CHECK enum sp_rc sp_roster_csv_read(struct sp_bytes text, const char *file,
                                            const struct sp_roster_wanted *wanted,
                                            struct sp_problems *problems,
                                            struct sp_roster_groups **out);

#endif
