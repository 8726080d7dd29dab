module address_decoder (
  input  logic [31:0] address,
  input  logic        access,
  input  logic        write,
  output logic        select_rom,
  output logic        select_ram,
  output logic        select_uart,
  output logic        select_gpio,
  output logic        bus_error
);
  logic in_rom, in_ram, in_uart, in_gpio;

  assign in_rom  = address <= 32'h0000_3fff;
  assign in_ram  = address >= 32'h2000_0000 && address <= 32'h2000_9fff;
  assign in_uart = address >= 32'h4000_0000 && address <= 32'h4000_001f;
  assign in_gpio = address >= 32'h4000_0100 && address <= 32'h4000_010f;

  assign select_rom  = access && in_rom && !write;
  assign select_ram  = access && in_ram;
  assign select_uart = access && in_uart;
  assign select_gpio = access && in_gpio;
  assign bus_error   = access && !(select_rom || select_ram || select_uart || select_gpio);
endmodule
