"""The command in tfseg/commands/evaluate.py."""

from tfseg.commands import program

if __name__ == "__main__":
    program.run_command("evaluate")
