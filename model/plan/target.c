#include "model/plan/target.h"

#include <string.h>

static const struct plan_target TARGETS[] = {
    {.backend = "reference",
     .macros = {[OP_STANDARDIZE] = true,
                [OP_STANDARDIZE_GRAD] = true,
                [OP_SOFTMAX_XENT] = true,
                [OP_SOFTMAX_XENT_GRAD] = true,
                [OP_ATTENTION] = true,
                [OP_ATTENTION_GRAD] = true,
                [OP_LSTM] = true,
                [OP_LSTM_GRAD] = true,
                [OP_GRU] = true,
                [OP_GRU_GRAD] = true}},
    /* Normalisation and cross-entropy are lowered: fused programs run them at the speed of memory.
     */
    {.backend = "cpu",
     .fuses = true,
     .macros = {[OP_ATTENTION] = true,
                [OP_ATTENTION_GRAD] = true,
                [OP_LSTM] = true,
                [OP_LSTM_GRAD] = true,
                [OP_GRU] = true,
                [OP_GRU_GRAD] = true}},
};

const struct plan_target *plan_target(const char *backend)
{
    for (size_t i = 0; i < sizeof TARGETS / sizeof TARGETS[0]; i++) {
        if (strcmp(TARGETS[i].backend, backend) == 0) {
            return &TARGETS[i];
        }
    }
    return NULL;
}
