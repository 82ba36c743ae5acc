/*
 * Globs: on a mismatch only the last star is tried one byte further, which is enough, since an earlier star could gain
 * nothing by taking more. So the cost is at most text times pattern.
 */
#include "policy/pattern.h"

bool sp_policy_glob_match(struct sp_bytes glob, struct sp_bytes text)
{
    size_t g = 0, t = 0, star = SIZE_MAX, mark = 0;

    while (t < text.len) {
        if (g < glob.len && glob.ptr[g] == '*') {
            star = g++;
            mark = t;
        } else if (g < glob.len && (glob.ptr[g] == '?' ||
                                    sp_ascii_lower(glob.ptr[g]) == sp_ascii_lower(text.ptr[t]))) {
            g++;
            t++;
        } else if (star != SIZE_MAX) {
            g = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (g < glob.len && glob.ptr[g] == '*')
        g++;
    return g == glob.len;
}
