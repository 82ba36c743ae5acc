/*
 * English for the parts of a policy.
 */
#ifndef SP_POLICY_WORDS_PRIV_H
#define SP_POLICY_WORDS_PRIV_H

#include "policy/policy_priv.h"

/* returns: the condition as a clause, in the arena; NULL if there is none */
const char *sp_policy_words_cond(const struct sp_cond *c, struct sp_arena *arena);
/* returns: the rule as a sentence, in the arena */
const char *sp_policy_words_rule(const struct sp_rule *r, struct sp_arena *arena);
/* Appends "S/MIME, else PGP, else the portal; never below ...". */
void sp_policy_words_ladder(struct sp_buf *out, const struct sp_ladder *ladder);
/* Appends what an option of the portal says ("in the portal it can be read for 2 days"). returns: false if it has no words */
bool sp_policy_words_portal(struct sp_buf *out, const struct sp_portal_options *o,
                            struct sp_bytes option);
/* Appends "2 days". */
void sp_policy_words_duration(struct sp_buf *out, int64_t ms);
/* returns: static words */
const char *sp_policy_words_rung(enum sp_rung rung);
const char *sp_policy_words_floor(enum sp_floor floor);

#endif
