# %% [markdown]
# # 7 · Further reading: words
#
# > Our denoiser is conditioned on *labels*. How do the image generators that you know understand a *sentence* that they have perhaps never read?
#
# **After this notebook you can**
#
# - turn a caption into tokens, and the tokens into vectors, with a transformer that no padding disturbs;
# - train two networks, one for pictures and one for captions, to meet in one space, and search in it;
# - let a denoiser look at the words of a caption, by cross-attention, and see where each word goes;
# - measure whether it understands captions that it has never read, beside a network that is told the factors themselves;
# - say what a negative prompt is, in one line of algebra, and what it does and does not do.
#
# **You need** chapter 5. How many minutes this takes on your kind of machine is in the table of the [README](../README.md).

# %%
import textwrap

import torch

from course_lib import contrastive, device, guidance, layers, recipes, teddies, text, text_denoiser, text_to_image
from course_lib.notebook import claims, viz, widgets
from course_lib.images import to_float
from course_lib.experiments import prompt_adherence
from course_lib.experiments.ch7_words import words

machine = device.find()
print(machine)
book = claims.Claims("7 Words")

# %%
some, factors = teddies.dataset(6, 40, device=machine.device)
captions = teddies.captions(factors)
viz.grid(some, titles=captions, alt="Six teddies, and above each the caption that says what it shows.")

# %% [markdown]
# The teddies come with captions. Chapter 5's prompt box could already read such a line, but only because somebody had written a *parser*: a program that knows that
# "pink" is a fur and "at night" a background, and turns the line into five labels. For photographs nobody can write that program. Here the network must read by itself.
#
# ## From words to numbers
#
# A network wants numbers. The simplest tokeniser there is gives each word a number of its own; everything that a caption of our teddies can say needs only a few dozen
# words. Each caption starts with a START token and ends with END; shorter captions are filled up with PAD, so that a batch is a rectangle.

# %%
claims.source(text.tokenise)
short = ["two pink teddy bears", "at night", ""]
claims.table(
    ["caption", *map(str, range(8))],
    [[f"“{caption}”", *tokens[:8]] for caption, tokens in zip(short, text.tokenise(short).tolist(), strict=True)],
    title="The first eight of sixteen tokens: 0 is PAD, 1 START, 2 END",
)

# %%
try:
    text.tokenise("two purple teddy bears")
except ValueError as error:
    print(error)

# %% [markdown]
# **Predict.** A caption names a count, a fur, an activity, a scarf and a place, or leaves any of them out. It is built from the words that you have just seen listed. How many
# different captions are there: about a hundred, about a thousand, or about five thousand? Which share of the *full* captions will training show?

# %%
every = torch.cartesian_prod(*(torch.arange(levels + 1) for levels in teddies.NUM_VALUES))
full = (every < torch.tensor(teddies.NUM_VALUES)).all(1)
hidden = teddies.is_held_out(teddies.sample_factors(int(full.sum()), 0, **dict(zip(teddies.SEMANTIC, every[full].unbind(1), strict=True))))
book.claim("The words that the captions are made of", len(text.vocabulary()), at_most=50, unit="words")
book.claim("Different captions that they make, the empty one included", len(set(teddies.captions_from_labels(every))), equals=5292)
book.claim("Full captions, which name all five factors", int(full.sum()), equals=1800)
book.claim("Of these, never shown to the networks that are examined here", int(hidden.sum()), equals=180)

# %% [markdown]
# <details><summary><b>Thousands, from a few dozen words</b></summary>
#
# Each factor has its values, and "not said": $3 \times 7 \times 7 \times 6 \times 6$. That is the point of language: few parts, many wholes. Nobody can train on all wholes, so a
# network that understands must learn the *parts*. One full caption in ten is kept from every network that is examined here; only the reader, which judges them, has seen all.
# </details>
#
# ## A network that reads
#
# Each token becomes a vector; to it is added a vector for its place in the line, because attention by itself does not know order; and then every token looks at every other,
# twice (Vaswani et al. 2017). What comes out is a vector for *each word in its context*, and from the START token one for the whole caption.

# %%
claims.source(text.TextTransformer, text.TextBlock)

# %% [markdown]
# Two decisions in it are worth a thought. It looks **both ways**, where CLIP's reads from left to right: in English the colour stands *before* what it colours. And the tokens
# of **padding** are hidden from everyone by the mask. Is that so? Disturb them and see.

# %%
torch.manual_seed(0)
fresh = text.TextTransformer()
tokens = text.tokenise(["a blue scarf", "a blue teddy bear"])
with torch.no_grad():
    before = fresh(tokens)
    fresh.word.weight[text.PAD] += 100
    after = fresh(tokens)
blue, other_blue = before.features[:, 2]
book.claim(
    "What padding holds changes no word and no caption",
    max((after.features - before.features)[before.mask].abs().max(), (after.pooled - before.pooled).abs().max()),
    equals=0,
)
book.claim(
    "“blue” before “scarf” is another vector than before “teddy bear”, even untrained", (blue - other_blue).norm() / blue.norm(), at_least=0.01, unit="of its length"
)

# %% [markdown]
# ## A picture and its caption should meet
#
# Who teaches the network what "pink" looks like? Radford et al. (2021) had a wonderfully simple idea, CLIP. Take a batch of $B$ pictures with their captions. One network makes
# a vector $a_i$ of each picture, the other a vector $b_j$ of each caption, all brought to length 1. Now play a guessing game: for each picture, which of the $B$ captions
# is its own? And for each caption, which picture? Both answers are a softmax over the similarities, sharpened by a learned temperature $\tau$:
#
# $$\mathcal L = -\frac{1}{2B} \sum_i \left[ \log \frac{e^{a_i \cdot b_i / \tau}}{\sum_j e^{a_i \cdot b_j / \tau}} + \log \frac{e^{a_i \cdot b_i / \tau}}{\sum_j e^{a_j \cdot b_i / \tau}} \right]$$

# %%
claims.source(contrastive.contrastive_loss, contrastive.similarity)

# %% [markdown]
# No labels, no parser: only pairs. Our pictures enter as latents of the Teddies VAE, 256 numbers instead of 12,288, which makes the picture's network small enough to train while
# you watch. In each step a caption leaves out every factor with a chance of one in five, as people do.
#
# **Predict.** The batch has 256 pairs. What is the loss of a pair of networks that knows nothing? Can it ever become 0 here?

# %%
codec = recipes.load_codec("teddies-vae", machine)
train_split = words.make_split(6000, 41, codec, machine)
result = words.train_pair(train_split.latents, train_split.labels, machine)
pair = result.ema
viz.loss_curve(
    result.losses, ylabel="contrastive loss (nats)", alt="The contrastive loss starts near the logarithm of 256 and falls, steeply and then slowly; it does not reach 0."
)

# %%
guess = contrastive.contrastive_loss(torch.ones(256, 8), torch.ones(256, 8), pair.scale)
book.claim("Knowing nothing costs log 256 = 5.545 nats", guess, at_least=5.544, at_most=5.546, unit="nats")
book.claim("The trained pair", result.losses[-50:].mean(), at_most=2, unit="nats")
generator = torch.Generator(machine.device).manual_seed(0)
floors = [words.loss_lower_bound(words.drop_words(batch, 0.2, generator)) for batch in train_split.labels.split(256)]
floor = sum(floors) / len(floors)
book.claim("A perfect pair would pay, too: images that share a caption cannot be distinguished", floor, at_least=0.02, unit="nats")
book.claim("The trained pair pays more than that", result.losses[-50:].mean() - floor, at_least=0, unit="nats")

# %% [markdown]
# <details><summary><b>log B, and a floor above 0</b></summary>
#
# Who knows nothing spreads its guess over all 256: $\log 256$. And 0 is out of reach, for an honest reason: "two teddy bears at night" is true of many a picture in the batch. Where $k$ pictures share one
# caption, no network can do better than $\log k$ for them: CLIP's loss calls all but one of them wrong. The ledger has both figures. In our batches the floor is a small part of what the trained pair still pays; the rest is its own,
# after seconds of training. In larger batches of shorter captions it would be more.
# </details>
#
# ### The matrix
#
# Six pictures of combinations that were never shown, and their six captions. Bright: similar.

# %%
tests, never = (words.make_split(400, 42, codec, machine), words.make_split(400, 43, codec, machine, unseen=True))
six = teddies.captions_from_labels(never.labels[:6])
similar = words.caption_similarity(pair, never.latents[:6], six).T
viz.heatmap(
    similar.float(),
    rows=[textwrap.fill(caption, 36) for caption in six],
    columns=range(1, 7),
    ylabel="",
    xlabel="image",
    label="cosine",
    alt="A matrix of similarities of six captions with six images: the diagonal is the brightest.",
)

# %%
viz.grid(never.images[:6], titles=list(map(str, range(1, 7))), alt="The six images of the matrix, numbered.")

# %% [markdown]
# ### Retrieval
#
# Now 800 pictures that it has not seen, half of them of combinations that it has not seen either, in one pool with all their captions. For each picture, is its caption the most similar
# of all? For each caption, is the most similar picture one that it describes?
#
# **Predict.** Guessing is right about once in 500 times. How much worse is the pair on combinations never seen? And what if all captions say the same *in another order*, "on a meadow with a red scarf
# reading blue one teddy bear", which it has never read?

# %%
splits = {"seen": tests, "never seen": never}
orders = {"as always": teddies.captions_from_labels, "in another order": words.reordered_captions}
found = {(which, order): r for order, make_captions in orders.items() for which, r in words.retrieval_by_split(pair, splits, make_captions).items()}
pool = len(set(teddies.captions_from_labels(torch.cat([tests.labels, never.labels]))))
rows = [[which, order, *r, 1 / pool] for (which, order), r in found.items()]
claims.table(
    ["combinations", "order of the words", "image → caption", "caption → image", "guessing"],
    rows,
    title="Accuracy at 1 among 800 images and their distinct captions (0 to 1)",
)

# %%
seen, new, shuffled = found["seen", "as always"], found["never seen", "as always"], found["never seen", "in another order"]
bags = {tuple(sorted(caption.split())) for caption in teddies.captions_from_labels(every)}
book.claim("An image of a seen combination finds its caption", seen.image_to_text, at_least=0.75, unit="fraction")
book.claim("So does one of a combination never seen", new.image_to_text, at_least=0.75, unit="fraction")
book.claim("A caption never read finds an image that it describes", new.text_to_image, at_least=0.75, unit="fraction")
book.claim("Never seen costs at most", seen.image_to_text - new.image_to_text, at_most=0.1, unit="fraction lost")
book.claim("The same words in an order never read are understood less well", new.image_to_text - shuffled.image_to_text, at_least=0.1, unit="fraction lost", expected=False,
           reason="in this small language the order says nothing that the words do not say")  # fmt: skip
book.claim("Captions that another order of the same words would turn into another caption", len(every) - len(bags), equals=0)

# %% [markdown]
# <details><summary><b>New wholes, and a bag of words</b></summary>
#
# It learned *parts*: combinations never seen are found as well as others. And order? One would expect a transformer that has read one order only to stumble over another. It hardly does, and the ledger
# says why: no two of our captions have the same words. Order carries no information here, so the game of pairs never asked for it, and the pair treats a caption as a *bag of
# words*. Large models do the same, for the same reason (Yuksekgonul et al. 2023): a network learns what its loss asks for.
# </details>
#
# ### Search, word by word
#
# The captions' space is a search engine. Write a caption one word after the other and watch what it finds among the 6,000 pictures. Mind the end: of 6,000 pictures only few fit all five wishes, and six are shown.

# %%
sentence = "two white teddy bears with a red scarf sleeping in a bedroom"
line = sentence.split()
find = words.image_search(pair, train_split.latents)


def searched(said: int = 1) -> tuple[torch.Tensor, str]:
    caption = " ".join(line[:said])
    best = find(caption).topk(6)
    return train_split.images[best.indices].cpu(), f"“{caption}”: cosines {best.values[0]:.2f} to {best.values[-1]:.2f}"


slider = widgets.image_slider(
    searched, alt="The six images that are most similar to the caption, as it grows word by word.", columns=6, scale=2, said=list(range(1, len(line) + 1))
)
slider

# %%
stops = (1, 2, 4, 8, 9, 12)
viz.rows(
    {" ".join(line[:n]): searched(n)[0] for n in stops},
    scale=1,
    alt="Six rows of six images, found with more and more words: two bears, then two white ones, then in red scarves, asleep; in the last row not all six fit the full prompt.",
)

# %%
for n in (2, 8, 12):
    print(slider.set(said=n))
fitting = (train_split.labels.cpu() == teddies.labels_from_captions(sentence)).all(1).sum()
print(f"of {len(train_split.labels):,} images, {fitting} fit “{sentence}”")
best = find("two white teddy bears").topk(10).indices
book.claim(
    "Of the ten that “two white teddy bears” finds, two and white",
    (train_split.labels[best][:, :2].cpu() == torch.tensor([1, 4])).all(1).double().mean(),
    at_least=0.6,
    unit="fraction",
)
book.claim("The search answers in less than a second here", slider.latency(), at_most=1000, unit="ms")

# %% [markdown]
# ### A classifier that nobody trained
#
# A trick of CLIP's paper: compare a picture with "brown", "golden", "pink" … and take the most similar. That is a classifier of furs, and it was never trained to be one.
#
# **Predict.** Which factor is read best in this way, and which worst? Does the pair know *what* is blue, the fur or the scarf?

# %%
by_words = words.zero_shot_accuracy(pair, never)
reader = recipes.load_or_train("teddies-reader", machine)
by_reader = prompt_adherence.adherence(reader, to_float(never.images), never.labels)
levels = dict(zip(teddies.SEMANTIC, teddies.NUM_VALUES, strict=True))
claims.table(
    ["factor", "zero-shot, from words (accuracy)", "the trained reader, from the image", "guessing"],
    [[name, by_words[name], by_reader[name], 1 / levels[name]] for name in teddies.SEMANTIC],
)
blue = words.attribute_binding_accuracy(pair, words.make_split(600, 44, codec, machine))
book.claim("Even the worst factor is read well", min(by_words.values()), at_least=0.6, unit="fraction")
book.claim("The background is read better than the scarf: difference", by_words["background"] - by_words["scarf"], at_least=0.01, unit="fraction")
book.claim("It knows what is blue, the fur or the scarf (guessing: 0.5)", blue, at_least=0.8, unit="fraction")

# %% [markdown]
# <details><summary><b>All but the scarf</b></summary>
#
# The scarf is read worst. It is small, and its colour must be read from few of the latent's 64 places; but small alone is not the reason, for a book or a ball is small, too. That the pair tells "blue teddy bear" from "blue scarf" need not mean
# that it reads the order: the word "scarf" itself gives it away.
# </details>
#
# ## A denoiser that reads
#
# Searching is not drawing. To draw, the denoiser must hear the caption. Rombach et al. (2022, section 3.3) let it *look*: each place of the latent picture asks a question $Q$, each word holds
# up a key $K$ and, to whom it fits, a value $V$:
#
# $$\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\left(\frac{Q K^\top}{\sqrt d}\right) V, \qquad Q = W_Q\, \varphi(x_t), \quad K = W_K\, \tau(y), \quad V = W_V\, \tau(y)$$
#
# with $\varphi(x_t)$ the features of a place, $\tau(y)$ the vectors of the words (not the temperature of above), and $d$ the length of a key.

# %%
claims.source(layers.CrossAttention, text_denoiser.TextDenoiser)

# %% [markdown]
# The network below is chapter 5's denoiser of teddies, with these layers and without its label tables. It was trained on the same pictures, for fewer steps; what differs is
# that factors are told in words. Its transformer was trained along with it, from nothing but the loss of diffusion. (Stable Diffusion takes CLIP's instead, and leaves it as it is.) The null label is now the empty caption.

# %%
models = {"given words": text_to_image.load(machine, "teddies-words"), "given factors": text_to_image.load(machine)}
model = models["given words"]
prompt = "two pink teddy bears with a green scarf reading in the snow"
condition = text.tokenise([prompt] * 8, machine.device)
print(f"“{prompt}”")
viz.rows(
    {"no prompt (scale 1)": model.sample(text.tokenise([""] * 8), scale=1), "the prompt (scale 3)": model.sample(condition)},
    scale=1,
    alt="Eight teddies of all kinds, and eight pink pairs with green scarves reading in the snow.",
)

# %% [markdown]
# ### Where does each word go?
#
# The softmax can be drawn: for each word, how much each place looks at it. Here the denoiser is given a drawn teddy behind noise, and its caption. Beside each word stands its share of all looks; each map is as bright as its own
# maximum allows, so compare places within one map, and not two maps.
#
# **Predict.** Which words are looked at by the middle of the picture, and which by its rim?

# %%
level = recipes.make_schedule().grid(10)[4]
row = 0
caption = teddies.captions_from_labels(never.labels[row : row + 1])
noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).to(machine.device)
maps = words.attention_maps(model.net, level.alpha * never.latents[row : row + 1] + level.sigma * noise, level, text.tokenise(caption, machine.device))[0]
names = ["START", *caption[0].split(), "END"]
attention = maps[: len(names)].mean((1, 2))
viz.grid(
    words.overlay_maps(to_float(never.images[row]), maps[: len(names)]),
    8,
    titles=[f"{name}\n{x:.0%}" for name, x in zip(names, attention, strict=True)],
    alt="One teddy under a light for each word of its caption: bright where the denoiser attends to the word.",
)

# %%
book.claim("At each position the attention to all tokens adds up to", maps.sum(0).mean(), at_least=0.999, at_most=1.001)
book.claim("Padding gets no attention", maps[len(names) :].sum(), equals=0)

# %% [markdown]
# <details><summary><b>Some words have places</b></summary>
#
# These maps have eight times eight places, as the latents have, and some of the attention goes to tokens that say nothing of their own: START, END, "a" (see their shares). That is usual in
# transformers, which need somewhere to look when they are not asking. Do not read more into such maps than they say: they tell where a layer *looked*, not what the network *did* with it.
# </details>
#
# ## Captions never read
#
# **Predict.** We ask for combinations that were seen in training, and for others that never were; the factor reader counts how many pictures show *all five* wishes. The rival is chapter 5's network, which is told
# the five factors in five separate tables and so cannot even see a combination. Which of the two generalises better?

# %%
table = words.compare_generalisation(models, reader)
claims.table(
    ["network", "combinations", *teddies.SEMANTIC, "all five"],
    [[name, which, *fractions.values()] for name, both in table.items() for which, fractions in both.items()],
    title="Guided images (scale 3) in which the reader finds what was asked for (fractions)",
)

# %%
all_five = {f"{name}, {which}": fractions["all"] for name, both in table.items() for which, fractions in both.items()}
errors = [(p * (1 - p) / 128) ** 0.5 for p in all_five.values()]
viz.bars(
    {name.replace(", ", ",\n"): p for name, p in all_five.items()},
    errors=errors,
    ylabel="all five right (fraction of 128)",
    alt="Four bars: fraction of images with all five factors right, for words and for factors, seen and never seen.",
)

# %%
by_reading, by_factors = table["given words"], table["given factors"]
book.claim("Given words, it follows captions that it has read", by_reading["seen"]["all"], at_least=0.7, unit="fraction")
book.claim("… and captions that it has never read", by_reading["never seen"]["all"], at_least=0.55, unit="fraction")
book.claim("A caption never read costs it", by_reading["seen"]["all"] - by_reading["never seen"]["all"], at_most=0.25, unit="fraction lost")
book.claim("Given factors, it follows combinations never seen", by_factors["never seen"]["all"], at_least=0.55, unit="fraction")
book.claim("Words cost, against factors, on captions never read", by_factors["never seen"]["all"] - by_reading["never seen"]["all"], at_most=0.25, unit="fraction lost")

# %% [markdown]
# <details><summary><b>Parts, learned or given</b></summary>
#
# The rival is *given* the parts: five tables, whose vectors are added up. It has nothing to learn about how language is put together, and generalises because it was built so. The network that
# reads has to find out that "green scarf" is one thing and "on a meadow" another; that it then follows captions never read shows that it did. Which generalises better? With so few errors of 128 this test cannot tell: what words cost might show with fewer
# steps of training, or in a larger language.
# </details>
#
# **Predict.** And in another order? The pair did not mind. Does the denoiser?

# %%
new_prompts = prompt_adherence.sample_prompts(96, 33, unseen=True)
followed = {name: prompt_adherence.adherence(reader, model.sample(text.tokenise(make_captions(new_prompts))), new_prompts) for name, make_captions in orders.items()}
claims.table(
    ["order of the words", *teddies.SEMANTIC, "all five"], [[name, *fractions.values()] for name, fractions in followed.items()], title="Given words (fractions)"
)
book.claim("An order never read costs the denoiser at most", followed["as always"]["all"] - followed["in another order"]["all"], at_most=0.5, unit="fraction lost")

# %% [markdown]
# <details><summary><b>A little</b></summary>
#
# It loses a few pictures of 96, as the table shows. The order was there in every caption that it read, so it may have come to use it where that helped, although it hardly needed to.
# </details>
#
# ## What you do not want
#
# Guidance leads *from* one denoiser *to* another: $\hat x_0 = r + s\,(m - r)$. So far the reference $r$ was told nothing. Nobody says that it must be. Tell it what you do **not** want, and every step leads away
# from that: a **negative prompt**. Nothing is trained for it; it is one argument.

# %%
claims.source(guidance.guide)

# %% [markdown]
# **Predict.** We ask for "two brown teddy bears reading", and say nothing of a scarf. What will they wear? And what if the negative prompt is "with a green scarf": bare necks, or other
# scarves?

# %%
prompt, n = "two brown teddy bears reading", 96
condition = text.tokenise([prompt] * n)
ways = {"nothing": "", "“with a green scarf”": "with a green scarf", "“without a scarf”": "without a scarf"}
sampled = {name: model.sample(condition, negative_condition=text.tokenise(no)[0]) for name, no in ways.items()}
viz.rows(
    {f"not wanted: {name}": images[:8] for name, images in sampled.items()},
    scale=1,
    alt="Three rows of brown reading bears: most without a scarf; most with a red scarf and none with a green one; most with a green or blue scarf.",
)

# %%
worn = {name: words.value_frequencies(reader, images, "scarf") for name, images in sampled.items()}
followed = {name: prompt_adherence.adherence(reader, images, teddies.labels_from_captions([prompt] * n))["all"] for name, images in sampled.items()}
claims.table(
    ["not wanted", *(f"scarf: {value}" for value in teddies.VALUES["scarf"]), "the prompt is still followed"],
    [[name, *worn[name].values(), followed[name]] for name in ways],
    title="Fractions of 96 images",
)
plain, no_green, no_bare = worn.values()
book.claim("With no word about scarves, most wear none, although of the rendered teddies one in five does", plain["none"], at_least=0.5, unit="fraction")
book.claim("A negative prompt takes the green scarves away", no_green["green"], at_most=0.05, unit="fraction")
book.claim("… and adds others, without being asked: bare necks, fraction lost", plain["none"] - no_green["none"], at_least=0.3, unit="fraction")
book.claim("“not without a scarf” takes bare necks away: fraction, over that without a negative prompt", no_bare["none"] / plain["none"], at_most=0.7)
book.claim("… and the prompt itself suffers little", followed["nothing"] - min(followed.values()), at_most=0.25, unit="fraction lost")

# %% [markdown]
# <details><summary><b>Away from is not "not"</b></summary>
#
# The green scarves go, and others come that nobody asked for. Look at the algebra: $m + (s-1)(m - r)$ leads *away from* what $r$ expects, pixel by pixel, and away from green round a neck lies red as well as fur.
# The wish itself is strengthened as before, because the reference knows nothing of it; with a reference that shares words with the wish, those words are *not* strengthened any more. A negative prompt is no "not": it is
# a direction, and what lies there is for the network to say. Two negatives make no affirmative either: with "without a scarf" unwanted, many necks stay bare. (And "told nothing" is no even mixture either: few captions in training left out just scarf and place, so the network had little to go by.)
# </details>

# %%
same = model.sample(condition[:32], negative_condition=text.tokenise(prompt)[0])
unguided = model.sample(condition[:32], scale=1)
book.claim(
    "A negative prompt equal to the prompt takes all guidance away: difference to unguided images",
    (same - unguided).abs().max(),
    at_most=0.05,
    unit="of 2 (black to white)",
)

# %% [markdown]
# ## The ledger

# %%
book.close()

# %%
# NBVAL_CHECK_OUTPUT
book.verdicts()

# %% [markdown]
# ## What you take along
#
# Language is few parts and many wholes. A pair of networks that only plays "which caption belongs to which picture" learns the parts well enough to find pictures by captions never read; a denoiser that may *look* at words draws
# them. Neither learned what its loss did not ask for: a word never read is an error, and the order of words is a matter of indifference to the pair, and nearly so to the denoiser. And guidance, once more, is a difference of two opinions: whom you ask for the second one is up to you.
#
# ## Where it comes from
#
# | here | in the literature | in the code |
# |---|---|---|
# | transformer, attention | Vaswani et al. 2017, eq. 1 | `layers.SelfAttention`, `text.TextBlock` |
# | looking both ways, a token for the whole | Devlin et al. 2019 (BERT), section 3 | `text.TextTransformer` |
# | contrastive loss, learned temperature | Radford et al. 2021 (CLIP), figure 3 and section 2.5 | `contrastive.contrastive_loss`, `ImageTextPair.scale` |
# | a classifier from captions | Radford et al. 2021, section 3.1 | `ch7_words.words.zero_shot_accuracy` |
# | captions as bags of words | Yuksekgonul et al. 2023 | `ch7_words.words.reordered_captions`, `attribute_binding_accuracy` |
# | cross-attention on a caption | Rombach et al. 2022, section 3.3 and eq. 3 | `layers.CrossAttention`, `text_denoiser.TextDenoiser` |
# | maps of cross-attention | Hertz et al. 2023, figure 4 | `ch7_words.words.attention_maps` |
# | guidance and its reference | Ho & Salimans 2022, eq. 6 | `guidance.guide` |
# | leading away from a concept | Liu et al. 2022 (composable diffusion), section 4 | `TextToImage.generate(negative=…)` |
# | $\varphi(x_t)$ · $\tau(y)$ · $1/\tau$ | | features of the UNet · `TextFeatures.features` · `pair.scale` |
