"""The command in tfseg/commands/prepare_data.py."""

from tfseg.commands import program

if __name__ == "__main__":
    program.run_command("prepare_data")
