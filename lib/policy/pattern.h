/*
 * Patterns in conditions: globs and regular expressions, both in time linear in the text (times the pattern), whatever
 * either holds. Private to policy. thread: any; matching allocates nothing
 */
#ifndef SP_POLICY_PATTERN_H
#define SP_POLICY_PATTERN_H

#include "base/arena.h"
#include "base/bytes.h"

#define SP_REGEX_INSTS_MAX 512
#define SP_PATTERN_TEXT_MAX                                                                        \
    16384 /* longer texts are not looked at: the caller counts them as unknown */

struct sp_regex;

/*
 * Compiles: literals . [a-z] [^a-z] \d \w \s \D \W \S \xHH ( ) (?: ) | * + ? {m,n} ^ $ and a leading (?i). Works on
 * bytes; no back references, no look-around, no \b.
 *
 * out:     owner: the arena
 * returns: NULL, or what is wrong with the pattern, static
 */
const char *sp_policy_regex_compile(struct sp_arena *arena, struct sp_bytes pattern,
                                    const struct sp_regex **out);

/* returns: whether the pattern is found anywhere in text (of at most SP_PATTERN_TEXT_MAX bytes) */
bool sp_policy_regex_search(const struct sp_regex *re, struct sp_bytes text);

/* returns: whether there is a text in which the pattern is found */
bool sp_policy_regex_may_match(const struct sp_regex *re);
/* returns: whether it is found in every text, the empty one too */
bool sp_policy_regex_takes_all(const struct sp_regex *re);

/* returns: whether all of text fits the glob: * for any bytes, ? for one, case ignored */
bool sp_policy_glob_match(struct sp_bytes glob, struct sp_bytes text);

#endif
