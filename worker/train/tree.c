#include "worker/train/tree.h"

#include <assert.h>

int tree_split(struct tree_node node)
{
    int size = node.end - node.first;
    assert(size >= 2);
    int power = 1;
    while (power * 2 < size) {
        power *= 2;
    }
    return node.first + power;
}

struct tree_node tree_range(int shards, int ranks, int rank)
{
    assert(ranks >= 1 && ranks <= shards && rank >= 0 && rank < ranks);
    return (struct tree_node){.first = shards * rank / ranks, .end = shards * (rank + 1) / ranks};
}

static int cover(struct tree_node node, struct tree_node range,
                 struct tree_node out[TREE_COVER_MAX], int count)
{
    if (node.end <= range.first || node.first >= range.end) {
        return count;
    }
    if (node.first >= range.first && node.end <= range.end) {
        assert(count < TREE_COVER_MAX);
        out[count] = node;
        return count + 1;
    }
    int split = tree_split(node);
    count = cover((struct tree_node){node.first, split}, range, out, count);
    return cover((struct tree_node){split, node.end}, range, out, count);
}

int tree_cover(int shards, struct tree_node range, struct tree_node out[TREE_COVER_MAX])
{
    assert(shards >= 1 && shards <= TREE_SHARDS_MAX);
    return cover((struct tree_node){0, shards}, range, out, 0);
}

bool tree_siblings(int shards, struct tree_node left, struct tree_node right)
{
    if (left.end != right.first) {
        return false;
    }
    struct tree_node node = {0, shards};
    while (node.end - node.first >= 2) {
        int split = tree_split(node);
        if (node.first == left.first && split == left.end && node.end == right.end) {
            return true;
        }
        node = left.end <= split ? (struct tree_node){node.first, split}
                                 : (struct tree_node){split, node.end};
    }
    return false;
}
