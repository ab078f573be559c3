"""The command in tfseg/commands/train.py."""

from tfseg.commands import program

if __name__ == "__main__":
    program.run_command("train")
