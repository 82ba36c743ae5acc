/*
 * Memory of our own making. Small allocations do not fail: out of memory ends the process with a message. A size that
 * comes from outside is checked against a limit before it gets here. thread: any
 */
#ifndef SP_BASE_MEM_H
#define SP_BASE_MEM_H

#include "base/bytes.h"

/* owner: the caller, until sp_free. returns: zeroed memory (sp_calloc), never NULL; len 0 is allowed */
void *sp_calloc(size_t count, size_t len) __attribute__((malloc));

/* owner: the caller, until sp_free. returns: memory of undefined content, never NULL */
void *sp_malloc(size_t len) __attribute__((malloc));

/*
 * For what somebody else made large, within a limit that was checked: one message or one peer bears it if there is no room.
 *
 * owner: the caller. returns: memory of undefined content, or NULL
 */
void *sp_malloc_try(size_t len) __attribute__((malloc));

/* owner: as realloc: the old pointer is gone. returns: never NULL */
void *sp_realloc(void *ptr, size_t len);

/* NULL is allowed. */
void sp_free(void *ptr);

/* owner: the caller. returns: a NUL-terminated copy (inner NUL bytes stay), never NULL */
char *sp_strdup_bytes(struct sp_bytes b);
char *sp_strdup(const char *s);

/* Wipes memory in a way that the compiler does not remove. */
void sp_wipe(void *ptr, size_t len);

/* Frees a pointer variable's target when the variable goes out of scope: SP_AUTO(sp_policy) p = sp_policy_new(); */
#define SP_AUTO(type) __attribute__((cleanup(type##_auto_free_))) struct type *
/* Defines what SP_AUTO needs; put it behind the type's free function in its header. */
#define SP_AUTO_DEFINE(type)                                                                       \
    static inline void type##_auto_free_(struct type **p)                                          \
    {                                                                                              \
        type##_free(*p);                                                                           \
    }
/* Hands a pointer over: its value, and NULL in its place. */
#define SP_STEAL(p)                                                                                \
    __extension__({                                                                                \
        __typeof__(p) sp_steal_ = (p);                                                             \
        (p) = NULL;                                                                                \
        sp_steal_;                                                                                 \
    })

/* Ends the process with a message: the system has no more of something that a process can't be without. */
void sp_out_of(const char *what) __attribute__((noreturn));

/* Ends the process with file, line and text: for what no input can cause. On in release builds too. */
#define sp_assert(cond) ((cond) ? (void)0 : sp_assert_failed(#cond, __FILE__, __LINE__))
void sp_assert_failed(const char *what, const char *file, int line) __attribute__((noreturn));

/* Gives back to the kernel what is free: after something large, in a process that then waits. cost: a walk over the heap */
void sp_mem_trim(void);

#endif
