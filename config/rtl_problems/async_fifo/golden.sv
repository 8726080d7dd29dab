module async_fifo (
  input  logic       write_clk,
  input  logic       write_rst_n,
  input  logic       write,
  input  logic [7:0] write_data,
  output logic       full,
  input  logic       read_clk,
  input  logic       read_rst_n,
  input  logic       read,
  output logic [7:0] read_data,
  output logic       empty
);
  // positions have one bit more than addresses, which tells a full queue from an empty one
  logic [7:0] words[0:7];
  logic [3:0] write_position, next_write, write_gray, next_write_gray, read_gray_1, read_gray_2;
  logic [3:0] read_position, next_read, read_gray, next_read_gray, write_gray_1, write_gray_2;
  logic       put, take;

  // writing side
  assign put             = write && !full;
  assign next_write      = write_position + {3'd0, put};
  assign next_write_gray = next_write ^ (next_write >> 1);

  always_ff @(posedge write_clk) begin
    if (put) words[write_position[2:0]] <= write_data;
  end

  always_ff @(posedge write_clk or negedge write_rst_n) begin
    if (!write_rst_n) begin
      write_position <= 4'd0;
      write_gray     <= 4'd0;
      read_gray_1    <= 4'd0;
      read_gray_2    <= 4'd0;
      full           <= 1'b0;
    end else begin
      write_position <= next_write;
      write_gray     <= next_write_gray;
      read_gray_1    <= read_gray;
      read_gray_2    <= read_gray_1;
      full           <= next_write_gray == {~read_gray_2[3:2], read_gray_2[1:0]};
    end
  end

  // reading side
  assign take           = read && !empty;
  assign next_read      = read_position + {3'd0, take};
  assign next_read_gray = next_read ^ (next_read >> 1);
  assign read_data      = words[read_position[2:0]];

  always_ff @(posedge read_clk or negedge read_rst_n) begin
    if (!read_rst_n) begin
      read_position <= 4'd0;
      read_gray     <= 4'd0;
      write_gray_1  <= 4'd0;
      write_gray_2  <= 4'd0;
      empty         <= 1'b1;
    end else begin
      read_position <= next_read;
      read_gray     <= next_read_gray;
      write_gray_1  <= write_gray;
      write_gray_2  <= write_gray_1;
      empty         <= next_read_gray == write_gray_2;
    end
  end
endmodule
