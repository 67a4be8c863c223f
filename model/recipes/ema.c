#include "model/recipes/ema.h"

#include <assert.h>
#include <math.h>

enum { SERIES = 20, HALVINGS_MAX = 100 };
#define RAMP  0.05
#define LOG_2 0.69314718055994530942

bool ema_given(const struct ema *ema)
{
    return ema->half_life > 0.0 || ema->decay > 0.0;
}

/* 0.5^x for x >= 0: whole halvings, which are exact, and a series for the rest. */
static double half_power(double x)
{
    if (x >= HALVINGS_MAX) {
        return 0.0;
    }
    int whole = (int)x;
    double rest = -LOG_2 * (x - whole);
    double sum = 1.0;
    for (int k = SERIES; k > 0; k--) {
        sum = 1.0 + rest * sum / k;
    }
    return ldexp(sum, -whole);
}

double ema_keep(const struct ema *ema, int64_t batch, int64_t execution)
{
    if (execution == 0) {
        return 0.0;
    }
    if (ema->decay > 0.0) {
        return ema->decay;
    }
    double images = RAMP * (double)(execution * batch);
    images = images < ema->half_life ? images : ema->half_life;
    return half_power((double)batch / images);
}

void ema_add_state(struct update_info *update)
{
    if (ema_given(&update->ema)) {
        assert(update->state_count < UPDATE_STATES_MAX);
        update->state_names[update->state_count++] = "ema";
    }
}

int ema_update(struct graph *graph, int average, int weights, int keep)
{
    int away = graph_binary(graph, OP_SUB, average, weights);
    return graph_binary(graph, OP_ADD, weights, graph_binary(graph, OP_MUL, away, keep));
}

int training_ema_state(const struct training *training)
{
    int index = 0;
    for (int i = 0; i < training->phase_count; i++) {
        index += training_own_states(training, i);
        if (ema_given(&training->phases[i].update.ema)) {
            return index - 1;
        }
    }
    return -1;
}

int training_ema_part(const struct training *training)
{
    for (int i = 0; i < training->phase_count; i++) {
        if (ema_given(&training->phases[i].update.ema)) {
            return training->phases[i].part;
        }
    }
    return -1;
}
