/*
 * What disk.c (a disk that is used) and crash.c (a disk that is found) share.
 */
#ifndef SP_TEST_POWER_DISK_PRIV_H
#define SP_TEST_POWER_DISK_PRIV_H

#include "power/disk.h"

/* Bytes of a file; shared until somebody writes. */
struct power_blob {
    int fd; /* memfd */
    int refs;
};

struct power_node {
    struct power_blob *live;
    struct power_blob *initial; /* what it held durably when the record began */
    bool unknown;               /* a sync of it failed, and nothing was written since */
};

struct power_name {
    char text[POWER_NAME_MAX];
    int node; /* -1: a folder */
};

struct power_names {
    struct power_name *at;
    size_t count;
    size_t cap;
};

struct power_record {
    enum power_op kind;
    bool failed;
    int node;
    char name[POWER_NAME_MAX];
    char to[POWER_NAME_MAX];
    int64_t offset; /* write: where; truncate: the new length */
    uint8_t *data;
    size_t len;
};

struct power_disk {
    struct power_node *nodes;
    size_t node_count;
    struct power_names live;
    struct power_names initial;
    struct power_record *ops;
    size_t op_count;
    size_t op_cap;
    size_t passed;
    struct power_fault fault;
    size_t reads;
    struct power_fault read_fault;
    size_t room;
    char false_sync[POWER_NAME_MAX];
    bool frozen;
    size_t freeze_in; /* operations; 0: never */
    char skip[POWER_SITE_MAX];
    char sites[POWER_SITES][POWER_SITE_MAX];
    size_t site_count;
};

struct power_blob *power_blob_ref(struct power_blob *b);
void power_blob_unref(struct power_blob *b);
/* Makes *b ours alone, so that it can be written. */
void power_blob_own(struct power_blob **b);
void power_blob_write(struct power_blob *b, const void *data, size_t len, int64_t offset);
void power_blob_cut(struct power_blob *b, int64_t len);

struct power_name *power_names_find(const struct power_names *n, const char *text);
void power_names_put(struct power_names *n, const char *text, int node);
void power_names_remove(struct power_names *n, const char *text);
void power_names_copy(struct power_names *to, const struct power_names *from);
/* The folder of a name, "" for one at the top. */
void power_folder_of(const char *name, char out[POWER_NAME_MAX]);

#endif
