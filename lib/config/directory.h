/*
 * directories/NAME.json: an LDAP server that an organisation keeps its people in, and which lists of the policy are made of
 * it. Checked against a table as sallyport.json is. No role gets these files: `sallyport directory refresh` reads them.
 * thread: any
 */
#ifndef SP_CONFIG_DIRECTORY_H
#define SP_CONFIG_DIRECTORY_H

#include "config/config.h"

#define SP_DIRECTORY_FOLDER "directories" /* beside sallyport.json */
#define SP_DIRECTORY_LISTS  "lists"       /* beside the policy: NAME.txt for each list */
#define SP_DIRECTORY_MARK   "# kept by sallyport directory: " /* such a file begins so */

/* One of the two is given. */
struct sp_directory_list {
    const char *name;   /* of the list */
    const char *group;  /* DN of a group, whose members and members' members count; "" if filter */
    const char *filter; /* RFC 4515; whoever is found counts; "" if group */
};

/* What to do if a part of what a filter searches stands on other servers. */
enum sp_directory_referrals { SP_DIRECTORY_REFERRALS_ERROR, SP_DIRECTORY_REFERRALS_IGNORE };

struct sp_directory {
    struct sp_config_texts servers; /* ldaps:// or, with StartTLS, ldap://; tried in order */
    const char *ca;                 /* "" for the system's */
    const char *bind_dn;            /* "" for nobody */
    const char *password;           /* a file, or a credential */
    const char *base;               /* DN that filters search below */
    struct sp_config_texts
        addresses; /* attributes that hold addresses; empty: mail, proxyAddresses */
    struct sp_config_texts members; /* of groups, DNs; empty: member, uniqueMember */
    enum sp_directory_referrals referrals;
    int64_t depth;       /* groups in groups */
    int64_t page;        /* entries */
    int64_t timeout_ms;  /* for one answer */
    int64_t deadline_ms; /* for all of a refresh */
    int64_t max_age_ms;  /* of a list, before it is told of */
    struct sp_directory_list *lists;
    size_t list_count;
    struct sp_arena *arena;
};

/* Reads and checks one file. Parameters and returns as sp_config_load. owner: the caller */
SP_MUST_CHECK enum sp_rc sp_directory_load(struct sp_bytes text, const char *file,
                                           struct sp_problems *problems, struct sp_directory **out);
void sp_directory_free(struct sp_directory *d);
SP_AUTO_DEFINE(sp_directory)

/* returns: whether a list may have this name: [a-z0-9-]+, and not too long for a file's name */
bool sp_directory_is_list_name(struct sp_bytes name);

/* Appends the reference of these settings as Markdown. */
void sp_directory_reference(struct sp_buf *out);
/* The same for programs: appends an object a setting to an array. */
void sp_directory_list_settings(struct sp_jw *w);

/* A list that some directory keeps, as its file is now. All lent for the call. */
struct sp_directory_age {
    const char *directory; /* file's name without its ending */
    const char *list;
    const char *path;
    int64_t age_ms; /* since it was last found to be as the directory says; -1: it is not there */
    bool is_stale;  /* older than max_age, or not there */
};
typedef void (*sp_directory_age_fn)(void *arg, const struct sp_directory_age *age);

/*
 * Looks at all lists of all directories. A folder that is not there has none.
 *
 * folder:   of sallyport.json; policy: as that has it, relative to folder or absolute
 * now_ms:   wall clock
 * problems: gets what is wrong with the files of directories
 */
void sp_directory_ages(const char *folder, const char *policy, int64_t now_ms,
                       struct sp_problems *problems, sp_directory_age_fn fn, void *arg);

#endif
