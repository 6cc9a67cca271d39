"""Fine-tune a policy with Stable-Baselines3's PPO.

    python examples/sb3_ppo.py --updates 30

The reward comes once an episode and only for success, which an untrained policy never has: from scratch
(``--demonstrations 0``) nothing is learned. So a policy is cloned from the scripted expert of the tabletop or of
LIBERO first. RoboTwin has no such expert; put your own pretrained features in place of ``Features`` there.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import gymnasium as gym
import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

import vla_envs  # noqa: F401  (registers the environments)
from policies.tiny import TinyConfig
from policies.tiny.model import InstructionEncoder, KeyPointEncoder
from vla_envs.errors import UnsupportedError
from vla_envs.spec import IMAGE, STATE
from vla_envs.wrappers import ActionChunk, EfficiencyReward, TokenizeInstruction
from vla_envs.wrappers.instruction import INSTRUCTION_TOKENS


@dataclass
class Args:
    """Options of the command line."""

    env_id: str = "VLA-Tabletop-v0"
    """id of the environment: any of vla_envs"""
    task_id: int = 0
    """index of the task in the suite of the environment"""
    image_size: int = 64
    """height and width of the images in pixels"""
    chunk_size: int = 8
    """number of actions that are executed between two observations"""
    demonstrations: int = 50
    """number of expert episodes to clone; 0 starts from scratch, where nothing is ever rewarded"""
    cloning_steps: int = 2000
    """number of gradient steps of cloning"""
    updates: int = 30
    """number of PPO updates"""
    num_envs: int = 16
    """number of environments, all in this process"""
    num_steps: int = 80
    """number of steps of each environment in an update; a step is an observation and the chunk chosen for it"""
    learning_rate: float = 3e-5
    """learning rate of PPO"""
    eval_episodes: int = 50
    """number of held-out episodes that are evaluated before and after training"""
    seed: int = 0
    """seed of everything that is random"""


class Features(BaseFeaturesExtractor):
    """Image key points, instruction and proprioception in one vector."""

    def __init__(self, observation_space: gym.spaces.Dict) -> None:
        config = TinyConfig(token_length=observation_space[INSTRUCTION_TOKENS].shape[0])
        super().__init__(observation_space, 2 * config.heads + InstructionEncoder.width + len(config.state_scale))
        self.language, self.vision = InstructionEncoder(config), KeyPointEncoder(config)
        self.register_buffer("state_scale", torch.tensor(config.state_scale))

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        """(B, features_dim)."""
        # SB3 hands over every observation as floats, and images with the channels first.
        language = self.language(observations[INSTRUCTION_TOKENS].long())
        points = self.vision(observations[IMAGE].permute(0, 2, 3, 1), language)
        return torch.cat([points, language, observations[STATE] * self.state_scale], dim=-1)


def make_env(args: Args, split: str) -> gym.Env:
    """One observation and one reward for each chunk of actions; no strings in the observation."""
    env = gym.make(args.env_id, task_id=args.task_id, image_size=args.image_size, split=split)
    return TokenizeInstruction(EfficiencyReward(ActionChunk(env, args.chunk_size)))


def demonstrate(args: Args) -> tuple[dict[str, NDArray], NDArray[np.float32]]:
    """Observations and, for each, the expert's next chunk (K, A).

    The expert is pushed off its way by an error that changes with every chunk, so that it also shows how to come back.
    """
    rng = np.random.default_rng(args.seed)
    env = TokenizeInstruction(gym.make(args.env_id, task_id=args.task_id, image_size=args.image_size, split="train"))
    try:
        expert = env.unwrapped.expert()
    except UnsupportedError as error:
        raise SystemExit(f"{error} Give --demonstrations 0.") from None
    observations, chunks = [], []
    for episode in range(args.demonstrations):
        observation, _ = env.reset(seed=args.seed if episode == 0 else None)
        for step in count():
            plan = expert.plan(args.chunk_size)
            observations.append(observation)
            chunks.append(np.pad(plan, ((0, args.chunk_size - len(plan)), (0, 0)), mode="edge"))
            if step % args.chunk_size == 0:
                error = np.append(rng.normal(0.0, 0.3, 3), np.zeros(4)).astype(np.float32)
            observation, _, terminated, truncated, _ = env.step(plan[0] + error)
            if terminated or truncated:
                break
    return {key: np.stack([each[key] for each in observations]) for key in observation}, np.stack(chunks)


def clone(model: PPO, observations: dict[str, NDArray], chunks: NDArray[np.float32], args: Args) -> None:
    """Fit the mean action to the demonstrations; the noise that PPO explores with stays as it is."""
    rng = np.random.default_rng(args.seed)
    optimizer = torch.optim.Adam(model.policy.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, args.cloning_steps)
    for _ in range(args.cloning_steps):
        rows = rng.integers(len(chunks), size=64)
        batch, _ = model.policy.obs_to_tensor({key: each[rows] for key, each in observations.items()})
        chunk = model.policy.get_distribution(batch).mode().unflatten(1, chunks.shape[1:])
        error = chunk - torch.from_numpy(chunks[rows])
        # Where the chunk leads as a whole matters most, and teaches the key points what to look for.
        loss = error.square().mean() + 0.3 * error[..., :3].sum(1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.policy.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    print(f"cloned {len(chunks)} states, loss {loss.item():.4f}", flush=True)


def evaluate(model: PPO, args: Args) -> float:
    """Success rate of the mean action, an episode from each of some initial states that training never draws."""
    env = make_env(args, "eval")
    held_out = env.unwrapped.init_states(args.task_id, "eval")
    successes = []
    for init_state_id in held_out[: args.eval_episodes]:
        (observation, _), ended = env.reset(options={"init_state_id": init_state_id}), False
        while not ended:
            action, _ = model.predict(observation, deterministic=True)
            observation, _, terminated, truncated, info = env.step(action)
            ended = terminated or truncated
        successes.append(info["success"])
    return float(np.mean(successes))


def main(args: Args) -> None:
    """Clone, evaluate, train, evaluate."""
    envs = make_vec_env(lambda: make_env(args, "train"), args.num_envs, seed=args.seed)
    model = PPO(
        "MultiInputPolicy",
        envs,
        learning_rate=args.learning_rate,
        n_steps=args.num_steps,
        batch_size=256,
        n_epochs=4,
        target_kl=0.05,  # the cloned policy is narrow: larger steps forget what it knows
        gamma=1.0,
        gae_lambda=1.0,
        seed=args.seed,
        verbose=1,
        policy_kwargs={
            "features_extractor_class": Features,
            "normalize_images": False,
            "net_arch": [256, 256],
            "activation_fn": torch.nn.ReLU,
            "log_std_init": -2.0,
        },
    )
    if args.demonstrations:
        clone(model, *demonstrate(args), args)
    print(f"before: held-out success rate {evaluate(model, args):.2f}", flush=True)
    model.learn(args.updates * args.num_steps * args.num_envs)
    print(f"after: held-out success rate {evaluate(model, args):.2f}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args))
