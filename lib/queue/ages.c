/*
 * How old the queue is, at any time, without looking at its messages: they are counted by the minute of their acceptance,
 * which their ids tell. A week of minutes is a table of 160 KiB; what is older counts together.
 */
#include "queue/queue_priv.h"

#define MINUTE_MS 60000

void sp_queue_ages_note(struct sp_queue_ages *ages, const struct sp_id *id, bool comes)
{
    int64_t minute = sp_id_time_ms(id) / MINUTE_MS;
    size_t i = (size_t)(minute % SP_QUEUE_AGE_MINUTES);

    if (comes && (ages->at[i].messages == 0 || ages->at[i].minute < minute)) {
        ages->older += ages->at[i].messages; /* of a week before */
        ages->at[i].messages = 0;
        ages->at[i].minute = minute;
    }
    if (ages->at[i].minute == minute && (comes || ages->at[i].messages > 0))
        ages->at[i].messages = comes ? ages->at[i].messages + 1 : ages->at[i].messages - 1;
    else if (comes)
        ages->older++;
    else if (ages->older > 0)
        ages->older--;
}

int64_t sp_queue_ages(const struct sp_queue *q, const int64_t *limits, size_t limit_count,
                      size_t *counts)
{
    const int64_t week_s = (int64_t)SP_QUEUE_AGE_MINUTES * 60;
    int64_t now_s = sp_clock_wall_ms(q->o.clock) / 1000;
    int64_t oldest_s = q->ages->older > 0 ? week_s : 0;

    for (size_t k = 0; k < limit_count; k++)
        counts[k] = q->ages->older;
    for (size_t i = 0; i < SP_QUEUE_AGE_MINUTES; i++) {
        int64_t age_s = now_s - q->ages->at[i].minute * 60;

        if (q->ages->at[i].messages == 0)
            continue;
        if (age_s > oldest_s)
            oldest_s = age_s;
        for (size_t k = 0; k < limit_count && age_s >= limits[k]; k++)
            counts[k] += q->ages->at[i].messages;
    }
    return oldest_s;
}
