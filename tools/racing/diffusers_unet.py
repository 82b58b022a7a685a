"""diffusers' unconditional example: huggingface/diffusers, examples/unconditional_image_generation.

Its settings are those of train_unconditional.py and of the command in its README: DDPM with 1,000 steps and a linear
schedule, prediction of the noise, AdamW of learning rate 1e-4, betas 0.95 and 0.999, weight decay 1e-6 and epsilon
1e-8, gradients of norm at most 1, a cosine schedule after 500 steps of warm-up, averaged weights of decay at most
0.9999, batches of 16, float32.

Its U-Net is one of 64 x 64: six levels, of which 28 x 28 has room for three. Scaled to 28 x 28 it is that of Hugging
Face's own course for this size (huggingface/diffusion-models-class, unit 1, "Diffusion models from scratch": levels of
32, 64 and 64 channels, two residual blocks each, attention at the lower two). The example's own, of 114 million
parameters, would end a race of 20 minutes on two cores within its warm-up.

The example has its schedule end with the last epoch. Here the number of steps is told from the pace of the first
minute, and the same run goes on. What it draws with 1,000 steps of DDPM would take hours for 10,000 images: here
diffusers' DDIM takes 20 of them, of the same config, so that estimates of x_0 are clipped to [-1, 1] as DDPM's are. Its
DPM-Solver++ does not clip: samples of a network as young as that of a race saturate.
"""

import diffusers
import torch
from diffusers.optimization import get_scheduler
from diffusers.training_utils import EMAModel

from .contest import LEAST_STEPS, Trained, batches, to_uint8

BATCH_SIZE, LEARNING_RATE, WARMUP = 16, 1e-4, 500
SAMPLER_STEPS = 20
DRAWN = 250  # images at once


def train(race, given, clock, seed, bfloat16):
    torch.manual_seed(seed)
    side, channels = given.images.shape[1], given.images.shape[3]
    network = diffusers.UNet2DModel(
        sample_size=side,
        in_channels=channels,
        out_channels=channels,
        layers_per_block=2,
        block_out_channels=(32, 64, 64),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    )
    process = diffusers.DDPMScheduler(num_train_timesteps=1000, beta_schedule="linear", prediction_type="epsilon")
    adam = {"lr": LEARNING_RATE, "betas": (0.95, 0.999), "weight_decay": 1e-6, "eps": 1e-8}
    optimizer = torch.optim.AdamW(network.parameters(), **adam)
    averages = EMAModel(network.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)
    pixels = torch.from_numpy(given.images).permute(0, 3, 1, 2).contiguous()

    def schedule_of(num_steps, done):
        schedule = get_scheduler("cosine", optimizer, num_warmup_steps=WARMUP, num_training_steps=num_steps)
        schedule.last_epoch = done
        return schedule

    network.train()
    clock.start()
    num_steps, schedule = None, schedule_of(10**9, 0)
    for index in batches(len(pixels), BATCH_SIZE, seed):
        x = pixels[torch.from_numpy(index)].float() / 127.5 - 1.0
        noise, times = torch.randn(x.shape), torch.randint(0, 1000, (len(x),))
        loss = torch.nn.functional.mse_loss(network(process.add_noise(x, noise, times), times).sample, noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        averages.step(network.parameters())
        optimizer.zero_grad()
        if not clock.step():
            break
        if num_steps is None and clock.seconds >= clock.measuring and clock.steps >= LEAST_STEPS:
            num_steps = int(clock.steps * clock.limit / clock.seconds)
            schedule = schedule_of(num_steps, clock.steps)
    averages.copy_to(network.parameters())
    network.eval()

    @torch.no_grad()
    def sample(num, seed):
        solver = diffusers.DDIMScheduler.from_config(process.config)
        generator, images = torch.Generator().manual_seed(seed), []
        for start in range(0, num, DRAWN):
            x = torch.randn((min(DRAWN, num - start), channels, side, side), generator=generator)
            solver.set_timesteps(SAMPLER_STEPS)
            for time in solver.timesteps:
                x = solver.step(network(x, time).sample, time, x).prev_sample
            images.append(x)
        return to_uint8((torch.cat(images).permute(0, 2, 3, 1) / 2.0 + 0.5).numpy())

    sampler = {"sampler": "DDIMScheduler", "steps": SAMPLER_STEPS, "clip_sample": bool(process.config.clip_sample)}
    settings = {"network": dict(network.config), "steps of the schedule": num_steps, "adamw": adam, "sampling": sampler}
    return Trained(clock.steps, BATCH_SIZE, network.num_parameters(), settings, sample)
