/*
 * A list of what is wrong with files that people write: all at once, each with file, line, JSON path, what is wrong and
 * what would be right. Warnings stand in the same list. thread: any (one at a time)
 */
#ifndef SP_JSON_PROBLEM_H
#define SP_JSON_PROBLEM_H

#include "json/json.h"

struct sp_problem {
    bool is_warning;
    enum sp_rc rc;
    const char *file; /* "" if none */
    uint32_t line;    /* 0 if none */
    uint32_t column;
    const char *path; /* JSON path, "" if none */
    const char *text;
};

struct sp_problems;

/* owner: the caller */
struct sp_problems *sp_problems_new(void);
void sp_problems_free(struct sp_problems *p);
SP_AUTO_DEFINE(sp_problems)

/*
 * Adds an error at a value (its file, line and path). What was said already of that place is not said again; past 200 entries more are
 * only counted, and an error takes a warning's room.
 *
 * returns: rc, so that `return sp_problem(p, value, SP_E_CONFIG_TYPE, ...)` reads well
 */
enum sp_rc sp_problem(struct sp_problems *p, const struct sp_json *at, enum sp_rc rc,
                      const char *fmt, ...) SP_PRINTF(4, 5);
/* Adds a warning that belongs to a file. */
void sp_problem_file_warn(struct sp_problems *p, const char *file, const char *fmt, ...)
    SP_PRINTF(3, 4);
/* Adds a warning at a value. */
void sp_problem_warn(struct sp_problems *p, const struct sp_json *at, const char *fmt, ...)
    SP_PRINTF(3, 4);
/* Adds an error that belongs to a place in a file that is no JSON value. line 0: the whole file. returns: rc */
enum sp_rc sp_problem_file(struct sp_problems *p, const char *file, uint32_t line, enum sp_rc rc,
                           const char *fmt, ...) SP_PRINTF(5, 6);

/* returns: how many errors (warnings not counted) */
size_t sp_problems_errors(const struct sp_problems *p);
/* returns: how many errors, or warnings, had no room */
size_t sp_problems_left(const struct sp_problems *p, bool errors);
/* returns: how many entries can be read with sp_problems_at */
size_t sp_problems_count(const struct sp_problems *p);
/* returns: entry i; good until the list is freed */
const struct sp_problem *sp_problems_at(const struct sp_problems *p, size_t i);

/* Appends one entry as "file:line: path: text", without a line end. */
void sp_problem_format(const struct sp_problem *problem, struct sp_buf *out);

/* Copies the first error to err. returns: its code, or SP_OK if there is none */
enum sp_rc sp_problems_rc(const struct sp_problems *p, struct sp_err *err);

/*
 * The name of a list that is nearest to what somebody wrote.
 *
 * names:   count pointers to NUL-terminated names
 * returns: one of them if it is near enough to be meant, else NULL
 */
const char *sp_problem_nearest(struct sp_bytes written, const char *const *names, size_t count);

#endif
