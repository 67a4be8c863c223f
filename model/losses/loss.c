/*
 * Goodfellow et al., "Generative adversarial nets" (2014), equation 1 and section 3.  With logits d
 * and sp = softplus: -log s(d) = sp(-d) and -log(1 - s(d)) = sp(d), without overflow.
 */
#include "model/losses/loss.h"

#include <string.h>

/* Sum of sp(sign * logits), as rank 0. */
static int softplus_sum(struct graph *graph, int logits, double sign)
{
    if (logits < 0) {
        return NODE_NONE;
    }
    int signed_logits = sign < 0 ? graph_unary(graph, OP_NEG, logits) : logits;
    uint32_t axes = (1u << graph_node(graph, logits)->shape.rank) - 1u;
    int sum = graph_sum(graph, graph_unary(graph, OP_SOFTPLUS, signed_logits), axes);
    return graph_reshape(graph, sum, &(struct shape){0});
}

/* L_D = sum sp(-D(x)) + sum sp(D(G(z))) */
static int log_discriminator(struct graph *graph, int real, int generated)
{
    return graph_binary(graph, OP_ADD, softplus_sum(graph, real, -1.0),
                        softplus_sum(graph, generated, 1.0));
}

/* L_G = -sum sp(D(G(z))), that is sum log(1 - s(D(G(z)))) */
static int minimax_generator(struct graph *graph, int generated)
{
    return graph_unary(graph, OP_NEG, softplus_sum(graph, generated, 1.0));
}

/* L_G = sum sp(-D(G(z))), that is -sum log s(D(G(z))) */
static int non_saturating_generator(struct graph *graph, int generated)
{
    return softplus_sum(graph, generated, -1.0);
}

static const char *const NAMES[] = {"minimax", "non_saturating"};
static const struct loss LOSSES[] = {
    {"minimax", log_discriminator, minimax_generator},
    {"non_saturating", log_discriminator, non_saturating_generator},
};
enum { LOSS_COUNT = sizeof LOSSES / sizeof LOSSES[0] };
_Static_assert(sizeof NAMES / sizeof NAMES[0] == LOSS_COUNT, "a name for every loss");

const struct loss *loss_find(const char *name)
{
    for (int i = 0; i < LOSS_COUNT; i++) {
        if (strcmp(LOSSES[i].name, name) == 0) {
            return &LOSSES[i];
        }
    }
    return NULL;
}

const char *const *loss_names(size_t *count_out)
{
    *count_out = LOSS_COUNT;
    return NAMES;
}
