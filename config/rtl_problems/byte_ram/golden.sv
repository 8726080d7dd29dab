module byte_ram (
  input  logic        clk,
  input  logic        enable,
  input  logic [3:0]  byte_write,
  input  logic [5:0]  address,
  input  logic [31:0] write_data,
  output logic [31:0] read_data
);
  logic [31:0] words[0:63];

  always_ff @(posedge clk) begin
    if (enable) begin
      read_data <= words[address];
      if (byte_write[0]) words[address][7:0] <= write_data[7:0];
      if (byte_write[1]) words[address][15:8] <= write_data[15:8];
      if (byte_write[2]) words[address][23:16] <= write_data[23:16];
      if (byte_write[3]) words[address][31:24] <= write_data[31:24];
    end
  end
endmodule
