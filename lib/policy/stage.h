/*
 * A draft that is tried beside the live policy, in steps: shadow (it is asked, and what it says is only recorded), then a
 * share of the mail, then all (it takes the live file's place, and no stage is left). staging.json beside the policy says
 * which; the draft's own text lies in staged.json. thread: any
 */
#ifndef SP_POLICY_STAGE_H
#define SP_POLICY_STAGE_H

#include "policy/policy.h"

#define SP_POLICY_STAGE_FILE "staging.json"
#define SP_POLICY_STAGE_MAIN "staged.json"

/* returns: whether what an act (staging.json, published.json) tells of is this version, for whatever members of kept lists */
bool sp_policy_stage_is_of(const struct sp_json *act, const struct sp_policy *p);

struct sp_policy_stage {
    struct sp_policy *draft; /* NULL: nothing is staged */
    unsigned percent;        /* of the mail that it decides; 0: shadow */
};

/*
 * Loads what is staged beside the policy at `path`. Only the very version that was staged counts: a draft whose files
 * have changed since is not asked, unless only members of lists that `sallyport directory` keeps are others.
 *
 * problems: gets what keeps a draft from being asked
 * out:      owner: the caller, one reference of out->draft
 * returns:  SP_OK, also where nothing is staged; else why the draft can't be asked (out->draft is NULL then)
 */
SP_MUST_CHECK enum sp_rc sp_policy_stage_load(const struct sp_policy_reader *reader,
                                              const char *path, struct sp_problems *problems,
                                              struct sp_policy_stage *out);

/*
 * Whether the draft decides this message.
 *
 * mac:     of what the message is, at least 8 bytes: the same message always falls on the same side, and whoever was on
 *          the draft's side stays there when the share grows
 * returns: false in shadow
 */
bool sp_policy_stage_takes(unsigned percent, const uint8_t *mac);

#endif
