"""Fine-tune a policy with TorchRL's PPO, through its ``GymWrapper``.

    python examples/torchrl_ppo.py --updates 30

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
from tensordict import TensorDict
from tensordict.nn import TensorDictModule, TensorDictSequential
from torch import Tensor, nn
from torchrl.collectors import Collector
from torchrl.envs import GymWrapper, SerialEnv
from torchrl.envs.utils import ExplorationType, set_exploration_type
from torchrl.modules import IndependentNormal, ProbabilisticActor
from torchrl.objectives import ClipPPOLoss
from torchrl.objectives.value import GAE

import vla_envs  # noqa: F401  (registers the environments)
from policies.tiny import TinyConfig
from policies.tiny.model import InstructionEncoder, KeyPointEncoder
from vla_envs.errors import UnsupportedError
from vla_envs.spec import ACTION_DIM, IMAGE, STATE
from vla_envs.wrappers import ActionChunk, EfficiencyReward, TokenizeInstruction
from vla_envs.wrappers.instruction import INSTRUCTION_TOKENS

TORCHRL_STATE = "observation"
"""What GymWrapper calls the key ``state``."""


@dataclass
class Args:
    """Options of the command line."""

    env_id: str = "VLA-Tabletop-v0"
    """id of the environment: any of vla_envs with a single arm"""
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
    num_epochs: int = 2
    """number of passes over the steps of an update"""
    minibatch_size: int = 256
    """number of steps in a gradient step"""
    learning_rate: float = 1e-4
    """learning rate of PPO"""
    eval_episodes: int = 50
    """number of held-out episodes that are evaluated before and after training"""
    seed: int = 0
    """seed of everything that is random"""


class Features(nn.Module):
    """Image key points, instruction and proprioception in one vector."""

    def __init__(self) -> None:
        super().__init__()
        config = TinyConfig()
        self.language, self.vision = InstructionEncoder(config), KeyPointEncoder(config)
        self.register_buffer("state_scale", torch.tensor(config.state_scale))
        self.width = 2 * config.heads + InstructionEncoder.width + len(config.state_scale)

    def forward(self, image: Tensor, state: Tensor, tokens: Tensor) -> Tensor:
        """(..., width), for any number of batch dimensions."""
        language = self.language(tokens.reshape(-1, tokens.shape[-1]))
        points = self.vision(image.reshape(-1, *image.shape[-3:]), language)
        features = torch.cat([points, language, state.reshape(-1, state.shape[-1]) * self.state_scale], dim=-1)
        return features.reshape(*state.shape[:-1], self.width)


class GaussianHead(nn.Module):
    """Features (..., width) to mean and standard deviation of a chunk (..., K, A)."""

    def __init__(self, width: int, chunk_size: int) -> None:
        super().__init__()
        self.mean = nn.Sequential(mlp(width, chunk_size * ACTION_DIM), nn.Unflatten(-1, (chunk_size, ACTION_DIM)))
        self.log_std = nn.Parameter(torch.full((chunk_size, ACTION_DIM), -2.0))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation."""
        mean = self.mean(features)
        return mean, self.log_std.exp().expand_as(mean)


def mlp(inputs: int, outputs: int) -> nn.Sequential:
    """Two hidden layers."""
    return nn.Sequential(nn.Linear(inputs, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, outputs))


def make_agent(args: Args) -> tuple[ProbabilisticActor, TensorDictSequential]:
    """Actor and critic, which share their features."""
    network = Features()
    features = TensorDictModule(network, [IMAGE, TORCHRL_STATE, INSTRUCTION_TOKENS], ["features"])
    head = TensorDictModule(GaussianHead(network.width, args.chunk_size), ["features"], ["loc", "scale"])
    actor = ProbabilisticActor(
        TensorDictSequential(features, head),
        in_keys=["loc", "scale"],
        distribution_class=IndependentNormal,
        distribution_kwargs={"event_dim": 2},
        return_log_prob=True,
    )
    critic = TensorDictSequential(features, TensorDictModule(mlp(network.width, 1), ["features"], ["state_value"]))
    return actor, critic


def make_env(args: Args, split: str) -> GymWrapper:
    """One observation and one reward for each chunk of actions; no strings in the observation."""
    env = gym.make(args.env_id, task_id=args.task_id, image_size=args.image_size, split=split)
    return GymWrapper(TokenizeInstruction(EfficiencyReward(ActionChunk(env, args.chunk_size))))


def demonstrate(args: Args) -> TensorDict:
    """Observations and, for each, the expert's next chunk (K, A).

    The expert is pushed off its way by an error that changes with every chunk, so that it also shows how to come back.
    """
    rng = np.random.default_rng(args.seed)
    env = TokenizeInstruction(gym.make(args.env_id, task_id=args.task_id, image_size=args.image_size, split="train"))
    try:
        expert = env.unwrapped.expert()
    except UnsupportedError as error:
        raise SystemExit(f"{error} Give --demonstrations 0.") from None
    rows = []
    for episode in range(args.demonstrations):
        observation, _ = env.reset(seed=args.seed if episode == 0 else None)
        for step in count():
            plan = expert.plan(args.chunk_size)
            chunk = np.pad(plan, ((0, args.chunk_size - len(plan)), (0, 0)), mode="edge")
            rows.append(TensorDict({**observation, "chunk": chunk}).rename_key_(STATE, TORCHRL_STATE))
            if step % args.chunk_size == 0:
                error = np.append(rng.normal(0.0, 0.3, 3), np.zeros(4)).astype(np.float32)
            observation, _, terminated, truncated, _ = env.step(plan[0] + error)
            if terminated or truncated:
                break
    return torch.stack(rows)


def clone(actor: ProbabilisticActor, demonstrations: TensorDict, args: Args) -> None:
    """Fit the mean action to the demonstrations; the noise that PPO explores with stays as it is."""
    optimizer = torch.optim.Adam(actor.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, args.cloning_steps)
    for _ in range(args.cloning_steps):
        batch = demonstrations[torch.randint(len(demonstrations), (64,))]
        error = actor.get_dist(batch).mean - batch["chunk"]
        # Where the chunk leads as a whole matters most, and teaches the key points what to look for.
        loss = error.square().mean() + 0.3 * error[..., :3].sum(1).square().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(actor.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    print(f"cloned {len(demonstrations)} states, loss {loss.item():.4f}", flush=True)


def update(loss_module: ClipPPOLoss, optimizer: torch.optim.Optimizer, batch: TensorDict, args: Args) -> TensorDict:
    """Some epochs of PPO on one batch; returns what the last minibatch says of them."""
    for _ in range(args.num_epochs):
        for rows in torch.randperm(len(batch)).split(args.minibatch_size):
            losses = loss_module(batch[rows])
            loss = losses["loss_objective"] + losses["loss_critic"]
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(loss_module.parameters(), 0.5)
            optimizer.step()
    return losses.detach()


@torch.no_grad()
def evaluate(actor: ProbabilisticActor, args: Args) -> float:
    """Success rate of the mean action, an episode from each of some initial states that training never draws."""
    env = make_env(args, "eval")
    held_out = env.unwrapped.init_states(args.task_id, "eval")
    successes = []
    with set_exploration_type(ExplorationType.DETERMINISTIC):
        for init_state_id in held_out[: args.eval_episodes]:
            start = env.reset(options={"init_state_id": init_state_id})
            episode = env.rollout(1000, actor, auto_reset=False, tensordict=start)
            successes.append(bool(episode["next", "terminated"].any()))  # the environments terminate on success alone
    return float(np.mean(successes))


def main(args: Args) -> None:
    """Clone, evaluate, train, evaluate."""
    torch.manual_seed(args.seed)
    actor, critic = make_agent(args)
    if args.demonstrations:
        clone(actor, demonstrate(args), args)
    print(f"before: held-out success rate {evaluate(actor, args):.2f}", flush=True)
    envs = SerialEnv(args.num_envs, lambda: make_env(args, "train"))
    envs.set_seed(args.seed)
    batch_size = args.num_envs * args.num_steps
    collector = Collector(
        envs,
        actor,
        frames_per_batch=batch_size,
        total_frames=args.updates * batch_size,
        auto_register_policy_transforms=False,
    )
    advantage = GAE(gamma=1.0, lmbda=1.0, value_network=critic)
    loss_module = ClipPPOLoss(actor, critic, entropy_bonus=False, normalize_advantage=True)
    optimizer = torch.optim.Adam(loss_module.parameters(), args.learning_rate)
    for iteration, batch in enumerate(collector, 1):
        with torch.no_grad():
            advantage(batch)
        losses = update(loss_module, optimizer, batch.reshape(-1), args)
        success = batch["next", "terminated"].sum() / batch["next", "done"].sum()
        loss, approx_kl = losses["loss_objective"], losses["kl_approx"]
        print(f"update {iteration}: success rate {success:.2f}, loss {loss:.4f}, approx_kl {approx_kl:.1e}", flush=True)
    collector.shutdown()
    print(f"after: held-out success rate {evaluate(actor, args):.2f}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Args))
