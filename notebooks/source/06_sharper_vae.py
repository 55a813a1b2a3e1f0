# %% [markdown]
# # 6 · Further reading: a sharper VAE
#
# > Squared error gives soft copies. What do the autoencoders of real image generators do about it, and what do they pay?
#
# **After this notebook you can**
#
# - say, with a picture of one pixel, why squared error blurs, and what two other losses would rather have;
# - build a perceptual distance from any trained network, and a critic of patches, and balance the three losses;
# - read four figures of a copy that disagree, and say which question each of them answers.
#
# **You need** chapter 3. How many minutes this takes on your kind of machine is in the table of the [README](../README.md).

# %%
import torch

from course_lib import adversarial, data, device, ledger, metrics, perceptual, recipes, teddies, viz, widgets
from course_lib.experiments import codes, sharper

machine = device.find()
print(machine)
book = ledger.Ledger("6 Sharper VAE")

# %%
vae = recipes.ready("teddies-vae", machine)
tests, factors = teddies.dataset(400, 21, device=machine.device, unseen=True)
drawn, copied = data.to_float(tests), sharper.copies(vae, tests)
viz.rows({"drawn": drawn[:8], "copied": copied[:8]}, scale=2, alt="Eight teddies with grainy fur, and their copies by the shipped VAE: smooth fur.")

# %% [markdown]
# The lower row went through the workbook's own VAE of teddies: 12,288 numbers to 256, the 48× of Stable Diffusion. Everything that has a name came through. The fur did
# not: every hair is where chance put it, and 256 numbers cannot say where. So the decoder does not know, and must draw *something*. Squared
# error tells it to draw the mean of all furs, and the mean of all furs is felt.
#
# ## One pixel, two possibilities
#
# Make it as small as it gets: one pixel that is about −1 or about +1, each in half of the cases, and the code does not say which. The
# decoder must give one answer $a$. Three losses, each computed exactly:
#
# - the **squared error** $\mathbb E\,(a - x)^2$;
# - a distance between **features**, $\mathbb E\,(\varphi(a) - \varphi(x))^2$ with $\varphi(x) = |x|$: a network that sees contrast, not sign;
# - a **critic** that knows how often each value occurs: $-\log p(a)$.
#
# **Predict.** Which answer does each of them like best?

# %%
toy = sharper.toy()
panels = viz.Panels(3, 2.9, 2.8)
for panel, (name, loss) in zip(panels, {"squared error": toy.squared, "features |x|": toy.features, "critic": toy.critic}.items(), strict=True):
    viz.draw_lines(panel, {name: (toy.answer, loss)}, xlabel="the answer", ylabel=name, marker=False)
    panel.fill_between(toy.answer, 0, toy.density / toy.density.max() * loss.max(), alpha=0.15, color="black")
panels.picture("Three curves over the answer, real values shaded at -1 and +1: squared error is least at 0 between them, the other two at -1 and at +1.")

# %%
best = {name: toy.answer[loss.argmin()].item() for name, loss in {"squared": toy.squared, "features": toy.features, "critic": toy.critic}.items()}
middle = toy.density[toy.answer == 0].item() / toy.density.max().item()
book.claim("Squared error likes the mean best", abs(best["squared"]), at_most=0.01)
book.claim("… a value that never occurs: its density, as a share of the highest", middle, at_most=1e-6)
book.claim("The features like an answer that occurs", abs(best["features"]), at_least=0.97, at_most=1.03)
book.claim("… and so does the critic", abs(best["critic"]), at_least=0.97, at_most=1.03)
loss_of_sharp = toy.squared[(toy.answer - 1).abs().argmin()].item() / toy.squared.min().item()
book.claim("By squared error, the sharp answer is twice as bad as the grey one", loss_of_sharp, at_least=1.9, at_most=2.1, unit="times")

# %% [markdown]
# <details><summary><b>The mean, and twice the edges</b></summary>
#
# Squared error likes 0 best: $\mathbb E (a-x)^2 = (a - \mathbb E x)^2 + \mathrm{Var}\,x$, for *any* distribution of $x$. Grey where the truth is black or white. Features that do
# not see the sign, and a critic that has only seen black and white, both prefer to commit themselves. They will be wrong half of the time,
# and by squared error a wrong commitment is dear: the sharp answer costs twice the grey one. Remember that factor; it comes back.
# </details>
