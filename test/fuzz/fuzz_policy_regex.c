/*
 * A pattern and a text, split at the first NUL. Compiling and searching end, and a pattern without special marks finds
 * what plain search finds. Of which it is said that it finds nothing, or everything, does so.
 */
#include "policy/pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool is_plain(struct sp_bytes pattern)
{
    for (size_t i = 0; i < pattern.len; i++)
        if (!sp_ascii_is_alnum(pattern.ptr[i]))
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_bytes all = sp_bytes(data, len), pattern, text;
    size_t nul = sp_bytes_find(all, 0);
    SP_AUTO(sp_arena) arena = sp_arena_new(1024);
    const struct sp_regex *re = NULL;
    bool found;

    pattern = sp_bytes_slice(all, 0, nul == SIZE_MAX ? len : nul);
    text = nul == SIZE_MAX ? sp_bytes(NULL, 0) : sp_bytes_slice(all, nul + 1, SP_PATTERN_TEXT_MAX);
    if (sp_policy_regex_compile(arena, pattern, &re) != NULL)
        return 0;
    found = sp_policy_regex_search(re, text);
    if (is_plain(pattern))
        sp_assert(found == (pattern.len == 0 || sp_bytes_find_all(text, pattern) != SIZE_MAX));
    sp_assert(!found || sp_policy_regex_may_match(re));
    sp_assert(found || !sp_policy_regex_takes_all(re));
    (void)sp_policy_glob_match(pattern, text);
    return 0;
}
