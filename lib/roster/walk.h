/*
 * From a directory's entries to a roster: a group with its members and the groups in it, or whoever a filter finds. What
 * answers is behind struct sp_roster_source: LDAP (ldap.h), or a test's entries. thread: any
 */
#ifndef SP_ROSTER_WALK_H
#define SP_ROSTER_WALK_H

#include "config/directory.h"
#include "roster/roster.h"

#define SP_ROSTER_ENTRIES_MAX ((size_t)200000) /* looked at for one list; so many addresses, too */
#define SP_ROSTER_NAMES_MAX   ((size_t)64 << 20) /* bytes of their DNs */
#define SP_ROSTER_BATCH_MAX   32                 /* entries asked for at once */

struct sp_roster_value {
    struct sp_bytes attribute; /* with its options, as "member;range=0-1499" */
    struct sp_bytes value;
};

/* An entry that was found. All lent for the call. */
struct sp_roster_entry {
    struct sp_bytes dn; /* as the directory writes it */
    const struct sp_roster_value *values;
    size_t count;
};

/* index: which of the DNs that were asked for; 0 in a search. returns: SP_OK, or what ends the question */
typedef enum sp_rc (*sp_roster_entry_fn)(void *arg, size_t index,
                                         const struct sp_roster_entry *entry);

/* What is asked: single entries, or whoever a filter finds. */
struct sp_roster_question {
    const char *const
        *dns;     /* of the entries, at most SP_ROSTER_BATCH_MAX; or the one to search below */
    size_t count; /* of dns */
    const char *filter;            /* NULL: single entries */
    const char *const *attributes; /* with a NULL behind them */
    sp_roster_entry_fn fn;         /* is called for each that is there */
    void *arg;
    size_t *
        elsewhere; /* counts parts on other servers, where those are to be left out; NULL: they are an error */
};

struct sp_roster_source {
    void *ctx;
    /* Asks and waits. Whatever keeps it from telling all is an error. */
    enum sp_rc (*ask)(void *ctx, const struct sp_roster_question *q, struct sp_err *err);
};

/* What is told beside the members. */
struct sp_roster_tally {
    size_t people, groups;
    size_t without;   /* people who have no address */
    size_t gone;      /* members that are not in the directory, or not to be seen */
    size_t odd;       /* addresses that no mail can come from */
    size_t elsewhere; /* parts of the directory on other servers, left out as it is set */
};

/*
 * Collects a list's members.
 *
 * returns: SP_OK; SP_E_NOT_FOUND if the group is not there; SP_E_LIMIT if groups are nested too deep, or entries or addresses too many; or
 *          what the source says. Then the roster is not whole, and must not be used
 */
SP_MUST_CHECK enum sp_rc sp_roster_collect(const struct sp_roster_source *source,
                                           const struct sp_directory *d,
                                           const struct sp_directory_list *list,
                                           struct sp_roster *out, struct sp_roster_tally *tally,
                                           struct sp_err *err);

#endif
