"""The command in tfseg/commands/segment.py."""

from tfseg.commands import program

if __name__ == "__main__":
    program.run_command("segment")
